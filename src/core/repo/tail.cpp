// Making and removing pieces. README.md 3 has the order of writes. Invariant: what was said to be durable can be read at every
// moment: a piece is removed only after one that holds its bytes is durable.
#include "core/repo/tail.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/codec/envelope.h"
#include "core/repo/same_content.h"
#include "core/wal/layout.h"
#include "core/wal/page_reader.h"

namespace pitr {

namespace {

// A frame of the envelope, which then needs no copy of it; whole pages.
constexpr std::size_t kReadSize = kEnvelopeFrameSize;
static_assert(kReadSize % wal::kPageSize == 0);
// Compressed a few KiB: a request to a store costs more than that.
constexpr std::uint32_t kSmall = 64U << 10;
// A segment that is not whole after so many looks was lost, or is the last one of its timeline: its pieces stay.
constexpr int kMaxLooks = 100;

// Whether a piece that adds [reached, flushed) begins where the last piece before it does. Sizes of pieces that stay apart at
// least halve from one to the next, so a segment has no more than log2(segment size / kSmall) + 1 of them, and a byte is shipped
// again only when its piece grows by half at least.
bool TakesIn(const layout::TailPiece& last, std::uint32_t begin, std::uint32_t flushed) {
  return flushed - last.begin <= kSmall || (last.end - last.begin) / 2 < flushed - begin;
}

Status CheckCancel(const CancelToken* cancel) {
  return cancel != nullptr && cancel->IsCancelled()
             ? Status(Code::kCancelled, "shipping the open WAL segment was cancelled")
             : Status::Ok();
}

// Follows the pages that go into a piece: WAL of this place to their end. The last page may be one that is being filled.
class PageCheck final : public wal::RecordSink {
 public:
  PageCheck(const RootIdentity& root, SegmentId segment, std::uint64_t offset)
      : reader_({.root = root,
                 .begin = SegmentStart(segment.number, root.segment_size) + offset,
                 .max_timeline = segment.timeline},
                this) {}

  Status Add(ByteView bytes, const std::string& path) {
    while (!bytes.empty()) {
      if (reader_.ended()) {
        return Status(Code::kCorrupt, "WAL file \"" + path + "\" ends before what was flushed")
            .WithDetail("It ends with " + reader_.end_reason() + ".");
      }
      const std::size_t size = std::min(bytes.size(), wal::kPageSize);
      PITR_RETURN_IF_ERROR(reader_.Feed(bytes.first(size)));
      bytes = bytes.subspan(size);
    }
    return Status::Ok();
  }
  Status Finish() { return reader_.FinishInput(); }
  bool OnRecord(const wal::RawRecord& record) override {
    last_end_ = record.end;
    return true;
  }
  Lsn last_end() const { return last_end_; }

 private:
  wal::PageReader reader_;
  Lsn last_end_;
};

// The name still stands for the file that is open: a segment that was let go meanwhile is renamed, and overwritten.
bool IsStillThere(const File& file, const std::string& path) {
  struct stat opened {};
  struct stat there {};
  return ::fstat(file.fd(), &opened) == 0 && ::stat(path.c_str(), &there) == 0 &&
         opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

// Calls `take` with [begin, end) of the file.
template <typename Take>
Status ReadRange(const File& file, const std::string& path, std::uint64_t begin, std::uint64_t end,
                 const CancelToken* cancel, Take take) {
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kReadSize, end - begin)));
  for (std::uint64_t at = begin; at < end;) {
    PITR_RETURN_IF_ERROR(CheckCancel(cancel));
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end - at));
    PITR_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(at, buffer.data(), wanted));
    if (got != wanted) {
      return Status(Code::kCorrupt, "WAL file \"" + path + "\" ends before what was flushed");
    }
    PITR_RETURN_IF_ERROR(take(ByteView(buffer).first(got)));
    at += got;
  }
  return Status::Ok();
}

}  // namespace

// Compares a piece that somebody made before with the file, byte for byte.
Status TailWriter::CheckSame(const File& file, const std::string& path,
                             const NamedPiece& named) const {
  const layout::TailPiece& piece = named.piece;
  Xxh3Stream hash;
  PITR_RETURN_IF_ERROR(
      ReadRange(file, path, piece.begin, piece.end, options_.cancel, [&](ByteView bytes) -> Status {
        hash.Update(bytes);
        return Status::Ok();
      }));
  EnvelopeFooter ours;
  ours.plain_size = piece.end - piece.begin;
  ours.plain_hash = hash.Digest();
  return CheckSameContent(repo_->store(), {named.object, ObjectKind::kWalPart, path, file, ours,
                                           options_.cancel, piece.begin})
      .status();
}

// What the repository holds of this segment, and what is left of others.
Status TailWriter::LookAt(const File& file, const std::string& path, SegmentId segment,
                          std::uint32_t flushed) {
  segment_.reset();
  chain_.clear();
  redundant_.clear();
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> objects,
                        repo_->store()->List(layout::TailRootPrefix(options_.branch)));
  std::vector<NamedPiece> pieces;
  std::uint32_t ahead = 0;
  std::map<SegmentId, Earlier> earlier;
  for (const ObjectStat& object : objects) {
    const auto piece =
        layout::ParseTailName(layout::LastPart(object.name), options_.root.segment_size);
    if (!piece.has_value()) {
      continue;
    }
    if (piece->segment != segment) {
      earlier[piece->segment].objects.push_back(object.name);
    } else if (piece->end > flushed) {
      ahead = std::max(ahead, piece->end);
    } else {
      const NamedPiece named = {*piece, object.name, object.size};
      PITR_RETURN_IF_ERROR(CheckSame(file, path, named));
      pieces.push_back(named);
    }
  }
  chain_ = JoinPieces(pieces);
  for (const NamedPiece& named : pieces) {
    const bool is_used = std::any_of(chain_.begin(), chain_.end(), [&](const NamedPiece& used) {
      return used.object == named.object;
    });
    // Behind a hole it is of no use to us, until a piece of ours is as far.
    if (!is_used) {
      redundant_.push_back(named);
    }
  }
  for (auto& [number, left] : earlier) {
    const auto known = earlier_.find(number);
    left.looks = known == earlier_.end() ? 0 : known->second.looks;
  }
  earlier_ = std::move(earlier);
  segment_ = segment;
  ahead_ = ahead;
  return Status::Ok();
}

Status TailWriter::Publish(const File& file, const std::string& path,
                           const layout::TailPiece& piece, ShipResult* result) const {
  const std::string object = layout::TailObject(options_.branch, piece, options_.root.segment_size);
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<EnvelopeWriter> writer,
                        EnvelopeWriter::Create(repo_->store(), object, ObjectKind::kWalPart,
                                               options_.compression_level));
  // Records are followed from the beginning of the page on; what of it was shipped before is not shipped again.
  const auto page_begin = static_cast<std::uint32_t>(piece.begin - piece.begin % wal::kPageSize);
  std::size_t skip = piece.begin - page_begin;
  PageCheck pages(options_.root, piece.segment, page_begin);
  PITR_RETURN_IF_ERROR(
      ReadRange(file, path, page_begin, piece.end, options_.cancel, [&](ByteView bytes) -> Status {
        PITR_RETURN_IF_ERROR(pages.Add(bytes, path));
        return writer->Add(bytes.subspan(std::exchange(skip, 0)));
      }));
  PITR_RETURN_IF_ERROR(pages.Finish());
  if (!IsStillThere(file, path)) {
    return Status(Code::kNotReady, "WAL file \"" + path + "\" was replaced while it was read");
  }
  PITR_FAULT("archive.tail.before_publish");
  if (options_.may_publish && !options_.may_publish()) {
    return Status(Code::kNotReady, "WAL file \"" + path + "\" may not be published now");
  }
  const Status status = writer->Finish();
  EnvelopeFooter stored = writer->footer();
  if (status.code() == Code::kAlreadyExists) {
    PITR_ASSIGN_OR_RETURN(
        stored, CheckSameContent(repo_->store(), {object, ObjectKind::kWalPart, path, file,
                                                  writer->footer(), options_.cancel, piece.begin}));
    result->was_there = true;
  } else if (!status.ok()) {
    return status;
  }
  result->raw_bytes = stored.plain_size;
  result->stored_bytes = stored.object_size();
  result->last_end = pages.last_end();
  PITR_FAULT("archive.tail.after_publish");
  return Status::Ok();
}

Status TailWriter::RemoveTakenIn() {
  PITR_FAULT("archive.tail.before_remove");
  const std::uint32_t end = reached();
  for (auto named = redundant_.begin(); named != redundant_.end();) {
    if (named->piece.end > end) {
      ++named;
    } else if (repo_->store()->Remove(named->object).ok()) {
      named = redundant_.erase(named);
    } else {
      break;
    }
  }
  return Status::Ok();
}

Result<ShipResult> TailWriter::Ship(const std::string& path, SegmentId segment,
                                    std::uint32_t flushed) {
  if (flushed == 0 || flushed > options_.root.segment_size) {
    return Status(Code::kInvalidArgument,
                  "cannot ship " + std::to_string(flushed) + " bytes of a WAL segment");
  }
  ShipResult result;
  result.was_there = true;
  const bool is_known = segment_ == segment && (ahead_ == 0 || flushed < ahead_);
  if (is_known && flushed <= reached()) {
    return result;
  }
  PITR_FAULT("archive.tail.before_read");
  PITR_ASSIGN_OR_RETURN(const File file, File::Open(path, O_RDONLY));
  if (!is_known) {
    PITR_RETURN_IF_ERROR(LookAt(file, path, segment, flushed));
  }
  if (flushed > reached()) {
    layout::TailPiece piece = {segment, reached(), flushed};
    std::size_t kept = chain_.size();
    // The rest of a segment that has ended takes nothing in: the whole one is on its way.
    const bool is_rest = flushed == options_.root.segment_size;
    while (kept > 0 && !is_rest && TakesIn(chain_[kept - 1].piece, piece.begin, flushed)) {
      kept--;
      piece.begin = chain_[kept].piece.begin;
    }
    result.was_there = false;
    PITR_RETURN_IF_ERROR(Publish(file, path, piece, &result));
    const auto taken = chain_.begin() + static_cast<std::ptrdiff_t>(kept);
    redundant_.insert(redundant_.end(), taken, chain_.end());
    chain_.erase(taken, chain_.end());
    chain_.push_back({piece, layout::TailObject(options_.branch, piece, options_.root.segment_size),
                      result.stored_bytes});
  }
  return result;
}

Status TailWriter::RemoveReplaced() {
  const std::uint64_t segment_size = options_.root.segment_size;
  for (auto entry = earlier_.begin(); entry != earlier_.end();) {
    const SegmentId segment = entry->first;
    const WalFileName parsed = {WalFileKind::kSegment, segment.timeline, segment.number, 0};
    const Status whole =
        repo_->store()
            ->Stat(layout::WalObject(options_.branch, parsed, SegmentName(segment, segment_size)))
            .status();
    if (whole.ok()) {
      for (const std::string& object : entry->second.objects) {
        PITR_RETURN_IF_ERROR(repo_->store()->Remove(object));
      }
      entry = earlier_.erase(entry);
      continue;
    }
    if (whole.code() != Code::kNotFound) {
      return whole;
    }
    entry = ++entry->second.looks >= kMaxLooks ? earlier_.erase(entry) : std::next(entry);
  }
  return Status::Ok();
}

Result<ShipResult> ShipTail(Repository* repo, const ShipOptions& options, const std::string& path,
                            SegmentId segment, std::uint32_t flushed) {
  TailWriter writer(repo, options);
  PITR_ASSIGN_OR_RETURN(const ShipResult result, writer.Ship(path, segment, flushed));
  // Leftovers harm nobody; whoever ships next finds them as well.
  static_cast<void>(writer.RemoveTakenIn());
  static_cast<void>(writer.RemoveReplaced());
  return result;
}

}  // namespace pitr
