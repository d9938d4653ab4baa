// Reads WAL out of the repository, through the lines of history. Invariant: "not found" is said only when every
// place where the segment could be has answered that it is not there.
#include "core/repo/wal_archive.h"

#include <algorithm>
#include <utility>

#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/tail_pieces.h"

namespace pitr {

namespace {

constexpr std::uint64_t kMaxText = 1U << 20;
// Pieces are replaced by longer ones while they are read; each round that this happens in, the history grew.
constexpr int kAttempts = 20;

std::string SegmentObject(const Branch& branch, SegmentId segment, bool is_partial) {
  const std::string name = SegmentName(segment, branch.root.segment_size);
  const WalFileName parsed = {is_partial ? WalFileKind::kPartial : WalFileKind::kSegment,
                              segment.timeline, segment.number, 0};
  return layout::WalObject(branch.id, parsed, is_partial ? name + ".partial" : name);
}

// Whether the object is there; an error unless the store gave an answer.
Result<bool> IsThere(ObjectStore* store, const std::string& object) {
  Result<ObjectStat> found = store->Stat(object);
  if (!found.ok() && found.status().code() != Code::kNotFound) {
    return std::move(found).status();
  }
  return found.ok();
}

}  // namespace

bool WalReader::Counts(std::size_t i, TimelineId timeline) const {
  for (std::size_t later = 0; later < i; later++) {
    const TimelineId left = line_[later].fork_timeline;
    if (left != 0 && timeline > left) {
      return false;
    }
  }
  return true;
}

bool WalReader::Counts(std::size_t i, SegmentId segment) const {
  const Lsn start = SegmentStart(segment.number, segment_size());
  for (std::size_t later = 0; later < i; later++) {
    if (start >= line_[later].fork_lsn) {
      return false;
    }
  }
  return Counts(i, segment.timeline);
}

Result<WalReader::Found> WalReader::FindSegment(SegmentId segment) const {
  for (const bool is_partial : {false, true}) {
    for (std::size_t i = 0; i < line_.size(); i++) {
      const std::string object = SegmentObject(line_[i], segment, is_partial);
      if (!Counts(i, segment)) {
        continue;
      }
      PITR_ASSIGN_OR_RETURN(const bool is_there, IsThere(repo_->store(), object));
      if (is_there) {
        return Found{object, line_[i].id, is_partial, false, {}};
      }
    }
  }
  for (std::size_t i = 0; i < line_.size(); i++) {
    if (!Counts(i, segment)) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const std::vector<NamedPiece> pieces,
                          ListPieces(repo_->store(), line_[i].id, segment, segment_size()));
    const std::vector<NamedPiece> joined = JoinPieces(pieces);
    if (!joined.empty()) {
      Found found{"", line_[i].id, false, true, {}};
      for (const NamedPiece& named : joined) {
        found.pieces.push_back(named.object);
      }
      return found;
    }
  }
  return Status(Code::kNotFound, "WAL segment \"" + SegmentName(segment, segment_size()) +
                                     "\" of branch \"" + line_.front().name +
                                     "\" is not in the repository");
}

// Goes on behind what `joined` has, whatever pieces that came from.
Status WalReader::ReadPieces(const Found& found, Bytes* joined) const {
  for (const std::string& object : found.pieces) {
    const auto piece = layout::ParseTailName(layout::LastPart(object), segment_size());
    if (piece.has_value() && piece->end <= joined->size()) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const Bytes bytes, ReadEnvelope(repo_->store(), object,
                                                          ObjectKind::kWalPart, segment_size()));
    if (!piece.has_value() || bytes.size() != piece->end - piece->begin ||
        piece->begin > joined->size()) {
      return Status(Code::kCorrupt,
                    "object \"" + object + "\" does not hold the bytes that its name says");
    }
    joined->resize(piece->begin);
    joined->insert(joined->end(), bytes.begin(), bytes.end());
  }
  return Status::Ok();
}

Result<Bytes> WalReader::ReadWhatIsThere(SegmentId segment, Found* found) const {
  Bytes joined;
  BranchId joined_from;
  for (int attempt = 1;; attempt++) {
    PITR_ASSIGN_OR_RETURN(*found, FindSegment(segment));
    Status status;
    if (found->from_tail) {
      if (std::exchange(joined_from, found->branch) != found->branch) {
        joined.clear();
      }
      const std::size_t before = joined.size();
      status = ReadPieces(*found, &joined);
      if (status.ok()) {
        return joined;
      }
      // Whoever ships a piece a second removes some as often: what was read counts, so that this comes to an end.
      attempt = joined.size() > before ? 0 : attempt;
    } else {
      const ObjectKind kind = found->is_partial ? ObjectKind::kWalPart : ObjectKind::kWalSegment;
      Result<Bytes> bytes = ReadEnvelope(repo_->store(), found->object, kind, segment_size());
      if (bytes.ok()) {
        return bytes;
      }
      status = bytes.status();
    }
    if (status.code() != Code::kNotFound) {
      return status;
    }
    if (attempt == kAttempts) {
      // Found, but not to be read: no proof that it is absent.
      return Status(Code::kIo, "WAL segment \"" + SegmentName(segment, segment_size()) +
                                   "\" changes all the time")
          .WithDetail(status.message() + ".");
    }
  }
}

Result<Bytes> WalReader::ReadSegment(SegmentId segment) const {
  Found found;
  PITR_ASSIGN_OR_RETURN(Bytes bytes, ReadWhatIsThere(segment, &found));
  const bool is_whole = !found.from_tail && !found.is_partial;
  if (is_whole && bytes.size() != segment_size()) {
    return Status(Code::kCorrupt, "object \"" + found.object + "\" is not a whole WAL segment");
  }
  bytes.resize(static_cast<std::size_t>(segment_size()), 0);
  return bytes;
}

Result<std::optional<Bytes>> WalReader::ReadWholeIndex(SegmentId segment,
                                                       std::string* object) const {
  for (std::size_t i = 0; i < line_.size(); i++) {
    if (!Counts(i, segment)) {
      continue;
    }
    *object = SegmentObject(line_[i], segment, false);
    Result<Bytes> index =
        ReadEnvelopeExtra(repo_->store(), *object, ObjectKind::kWalSegment, nullptr);
    if (index.ok()) {
      return std::optional<Bytes>(*std::move(index));
    }
    if (index.status().code() != Code::kNotFound) {
      return std::move(index).status();
    }
  }
  return std::optional<Bytes>();
}

Result<wal::SegmentIndex> WalReader::ReadIndex(SegmentId segment) const {
  const RootIdentity& root = line_.front().root;
  std::string object;
  PITR_ASSIGN_OR_RETURN(const std::optional<Bytes> stored, ReadWholeIndex(segment, &object));
  if (stored.has_value()) {
    Result<wal::SegmentIndex> index = wal::DecodeIndex(*stored);
    if (!index.ok()) {
      return std::move(index).status().Prefix("object \"" + object + "\"");
    }
    if (index->segment != segment || !(index->root == root)) {
      return Status(Code::kCorrupt,
                    "object \"" + object + "\" holds the index of another WAL segment");
    }
    return index;
  }
  Found found;
  PITR_ASSIGN_OR_RETURN(const Bytes bytes, ReadWhatIsThere(segment, &found));
  wal::IndexBuilder builder({root, segment});
  PITR_RETURN_IF_ERROR(builder.Add(bytes));
  return builder.Finish();
}

Result<std::string> WalReader::ReadHistory(TimelineId timeline) const {
  const std::string name = HistoryName(timeline);
  for (std::size_t i = 0; i < line_.size(); i++) {
    if (!Counts(i, timeline)) {
      continue;
    }
    const std::string object =
        layout::WalObject(line_[i].id, {WalFileKind::kHistory, timeline, 0, 0}, name);
    Result<Bytes> text = ReadEnvelope(repo_->store(), object, ObjectKind::kText, kMaxText);
    if (text.ok()) {
      return std::string(AsText(*text));
    }
    if (text.status().code() != Code::kNotFound) {
      return std::move(text).status();
    }
  }
  return Status(Code::kNotFound, "history file \"" + name + "\" of branch \"" + line_.front().name +
                                     "\" is not in the repository");
}

Result<std::vector<TimelineId>> WalReader::Timelines() const {
  std::vector<TimelineId> timelines;
  const auto add = [&](std::size_t i, TimelineId timeline) {
    if (Counts(i, timeline)) {
      timelines.push_back(timeline);
    }
  };
  for (std::size_t i = 0; i < line_.size(); i++) {
    for (const std::string& prefix :
         {layout::WalRootPrefix(line_[i].id), layout::TailRootPrefix(line_[i].id)}) {
      PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts,
                            repo_->store()->ListParts(prefix));
      for (const std::string& part : parts) {
        if (const auto timeline = layout::ParseTimelineFolder(part)) {
          add(i, *timeline);
        }
      }
    }
    PITR_ASSIGN_OR_RETURN(const std::vector<std::string> histories,
                          repo_->store()->ListParts(layout::HistoryPrefix(line_[i].id)));
    for (const std::string& part : histories) {
      const auto parsed = ParseWalFileName(part, segment_size());
      if (parsed.has_value() && parsed->kind == WalFileKind::kHistory) {
        add(i, parsed->timeline);
      }
    }
  }
  std::sort(timelines.begin(), timelines.end());
  timelines.erase(std::unique(timelines.begin(), timelines.end()), timelines.end());
  return timelines;
}

Status WalReader::AddHeld(std::size_t i, TimelineId timeline,
                          std::map<std::uint64_t, Held>* held) const {
  // The same preference as FindSegment: a whole one wins over what is not, then the nearer line.
  const auto add = [&](std::uint64_t number, bool tail_only, std::uint64_t stored_bytes) {
    const SegmentId segment = {timeline, number};
    const Held found = {segment, line_[i].id, tail_only, stored_bytes};
    const auto [place, is_new] = held->try_emplace(number, found);
    if (!is_new && place->second.tail_only && !tail_only) {
      place->second = found;
    }
  };
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> objects,
                        repo_->store()->List(layout::WalPrefix(line_[i].id, timeline)));
  for (const ObjectStat& object : objects) {
    const auto parsed = ParseWalFileName(layout::LastPart(object.name), segment_size());
    if (parsed.has_value() && parsed->kind != WalFileKind::kBackupLabel &&
        Counts(i, SegmentId{timeline, parsed->segment})) {
      add(parsed->segment, parsed->kind == WalFileKind::kPartial, object.size);
    }
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> pieces,
                        repo_->store()->List(layout::TailPrefix(line_[i].id, timeline)));
  std::map<std::uint64_t, std::vector<NamedPiece>> by_segment;
  for (const ObjectStat& object : pieces) {
    const auto piece = layout::ParseTailName(layout::LastPart(object.name), segment_size());
    if (piece.has_value() && Counts(i, piece->segment)) {
      by_segment[piece->segment.number].push_back({*piece, object.name, object.size});
    }
  }
  for (const auto& [number, named] : by_segment) {
    std::uint64_t stored_bytes = 0;
    const std::vector<NamedPiece> joined = JoinPieces(named);
    for (const NamedPiece& piece : joined) {
      stored_bytes += piece.stored_bytes;
    }
    if (!joined.empty()) {
      add(number, true, stored_bytes);
    }
  }
  return Status::Ok();
}

Result<std::vector<WalReader::Held>> WalReader::Segments(TimelineId timeline) const {
  std::map<std::uint64_t, Held> held;
  for (std::size_t i = 0; i < line_.size(); i++) {
    if (Counts(i, timeline)) {
      PITR_RETURN_IF_ERROR(AddHeld(i, timeline, &held));
    }
  }
  std::vector<Held> segments;
  segments.reserve(held.size());
  for (auto& [number, segment] : held) {
    segments.push_back(std::move(segment));
  }
  return segments;
}

}  // namespace pitr
