// Copies files into packs with threads, which take items of work in turn (snapshot_items.h).
//
// Nothing needs to be consistent here: whatever changes while it is copied is put right by replaying the WAL
// from the start LSN, which the caller determined before. That covers files that shrink, grow or vanish.
#include "core/work/snapshot_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <memory>

#include "core/base/file.h"
#include "core/repo/layout.h"
#include "core/work/control_file.h"
#include "core/work/file_selection.h"
#include "core/work/frame_builder.h"
#include "core/work/increment_plan.h"
#include "core/work/known_frames.h"
#include "core/work/page_check.h"
#include "core/work/snapshot_gather.h"
#include "core/work/snapshot_items.h"
#include "core/work/thread_pool.h"

namespace pitr {

namespace {

constexpr std::uint64_t kReadAhead = 1ULL << 20;
constexpr int kRereads = 3;
constexpr std::uint64_t kLeastShared = 8ULL << 20;

struct CopyContext {
  const SnapshotCopyOptions& options;
  const std::vector<ManifestFile>& files;
  const IncrementPlan* plan = nullptr;  // null: a full snapshot
  const KnownFrames& known;
  std::uint32_t relation_segment_blocks = 0;
  bool check_pages = false;
  Progress* progress = nullptr;
};

// One thread's part of the work and what came of it.
class Copier {
 public:
  Copier(Repository* repo, const CopyContext& context, std::atomic<std::uint32_t>* next_pack)
      : context_(context),
        packs_(repo, context.options.snapshot, next_pack, context.options.pack_target),
        builder_(&packs_, context.options.compression_level, &context.known) {}

  Status Copy(const CopyItem& item, const StopSignal& stop);
  Status CopyControlFile(std::uint32_t index);
  Status Close() { return packs_.Close(); }

  CopyResult result() const { return {&builder_, &reached_, &vanished_, &bad_pages_}; }
  std::uint64_t read_bytes() const { return read_bytes_; }
  const PackWriter& packs() const { return packs_; }

 private:
  Status CopyOne(const CopyPiece& piece, bool big, const StopSignal& stop);
  Result<const File*> OpenFile(std::uint32_t index);
  Status CheckPages(const File& file, const ManifestFile& listed, std::uint64_t offset,
                    std::size_t size);
  void Done(std::uint64_t bytes) {
    if (context_.progress != nullptr && bytes > 0) {
      context_.progress->Done(bytes);
    }
  }

  bool IsPaged(std::uint32_t index) const {
    return context_.plan != nullptr && context_.plan->files[index].base != nullptr;
  }

  const CopyContext& context_;
  PackWriter packs_;
  FrameBuilder builder_;
  // The one that was read last: many pieces are a page of the same file.
  File open_;
  std::uint32_t open_index_ = 0;
  std::uint64_t read_bytes_ = 0;
  std::vector<ReachedEnd> reached_;
  std::vector<std::uint32_t> vanished_;
  std::vector<BadPage> bad_pages_;
};

Status Copier::Copy(const CopyItem& item, const StopSignal& stop) {
  for (const CopyPiece& piece : item.pieces) {
    PITR_RETURN_IF_ERROR(CopyOne(piece, item.big, stop));
  }
  return builder_.Flush();
}

// Null when it has vanished.
Result<const File*> Copier::OpenFile(std::uint32_t index) {
  if (open_.is_open() && open_index_ == index) {
    return &open_;
  }
  auto file =
      File::Open(JoinPath(context_.options.data_directory, context_.files[index].path), O_RDONLY);
  if (!file.ok() && file.status().code() != Code::kNotFound) {
    return std::move(file).status();
  }
  open_ = file.ok() ? std::move(*file) : File();
  open_index_ = index;
  if (!open_.is_open() && IsPaged(index)) {
    vanished_.push_back(index);
  }
  return open_.is_open() ? &open_ : nullptr;
}

Status Copier::CopyOne(const CopyPiece& piece, bool big, const StopSignal& stop) {
  const ManifestFile& listed = context_.files[piece.file];
  PITR_RETURN_IF_ERROR(stop.Check());
  PITR_ASSIGN_OR_RETURN(const File* const file, OpenFile(piece.file));
  if (file == nullptr) {
    Done(piece.length);
    return Status::Ok();
  }
  if (big) {
    ::posix_fadvise(file->fd(), static_cast<off_t>(piece.offset), static_cast<off_t>(piece.length),
                    POSIX_FADV_SEQUENTIAL);
  }
  const std::uint64_t end =
      piece.to_end ? std::numeric_limits<std::int64_t>::max() : piece.offset + piece.length;
  std::uint64_t at = piece.offset, announced = piece.offset, uncounted = piece.length;
  for (bool is_end = false; at < end && !is_end;) {
    PITR_RETURN_IF_ERROR(stop.Check());
    if (big || builder_.room() == 0) {
      PITR_RETURN_IF_ERROR(builder_.Flush());
    }
    if (big && at >= announced) {
      announced = at + kReadAhead;
      ::posix_fadvise(file->fd(), static_cast<off_t>(announced), static_cast<off_t>(kReadAhead),
                      POSIX_FADV_WILLNEED);
    }
    const std::size_t wanted = std::min<std::uint64_t>(builder_.room(), end - at);
    PITR_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(at, builder_.space(), wanted));
    is_end = got < wanted;
    read_bytes_ += got;
    if (context_.options.pace != nullptr) {
      context_.options.pace->Spend(got, [&stop] { return !stop.Check().ok(); });
    }
    if (listed.kind == FileKind::kRelation) {
      got -= got % kPageSize;
      PITR_RETURN_IF_ERROR(CheckPages(*file, listed, at, got));
    }
    builder_.Take(piece.file, at, got);
    at += got;
    const std::uint64_t counted = std::min<std::uint64_t>(got, uncounted);
    uncounted -= counted;
    Done(counted);
  }
  Done(uncounted);
  // A later piece of a file that has become shorter says nothing about its size.
  if (!IsPaged(piece.file) && (at > piece.offset || piece.offset == 0)) {
    reached_.push_back({piece.file, at});
  }
  return Status::Ok();
}

Status Copier::CheckPages(const File& file, const ManifestFile& listed, std::uint64_t offset,
                          std::size_t size) {
  if (!context_.check_pages) {
    return Status::Ok();
  }
  const std::string_view name = std::string_view(listed.path).substr(listed.path.rfind('/') + 1);
  const std::uint32_t segment =
      ParseRelationFileName(name)->segment;  // it is a relation: the name parses
  for (std::size_t i = 0; i < size; i += kPageSize) {
    std::uint8_t* const page = builder_.space() + i;
    const auto block = static_cast<std::uint32_t>((offset + i) / kPageSize);
    const std::uint32_t relation_block = segment * context_.relation_segment_blocks + block;
    bool fine = IsPageFine(page, relation_block, context_.options.start_lsn);
    // The server may be in the middle of writing it.
    for (int attempt = 0; !fine && attempt < kRereads; attempt++) {
      ::usleep(attempt * 1000U);
      PITR_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(offset + i, page, kPageSize));
      // Truncated meanwhile: what is missing counts as zeroes.
      std::memset(page + got, 0, kPageSize - got);
      fine = IsPageFine(page, relation_block, context_.options.start_lsn);
    }
    if (!fine) {
      bad_pages_.push_back({listed.path, block});
    }
  }
  return Status::Ok();
}

Status Copier::CopyControlFile(std::uint32_t index) {
  PITR_ASSIGN_OR_RETURN(const Bytes bytes, ReadControlBytes(context_.options.data_directory));
  std::copy(bytes.begin(), bytes.end(), builder_.space());
  builder_.Take(index, 0, bytes.size());
  reached_.push_back({index, bytes.size()});
  Done(bytes.size());
  return builder_.Flush();
}

Status CopyAll(const std::vector<CopyItem>& items,
               const std::vector<std::unique_ptr<Copier>>& copiers, std::uint32_t control_index,
               const CancelToken* cancel) {
  const int workers = static_cast<int>(copiers.size());
  std::atomic<std::size_t> next_item = 0, next_pack = 0;
  const auto copy = [&](int worker, const StopSignal& stop) -> Status {
    Copier* const copier = copiers[static_cast<std::size_t>(worker)].get();
    for (std::size_t i = next_item++; i < items.size(); i = next_item++) {
      PITR_RETURN_IF_ERROR(copier->Copy(items[i], stop));
    }
    return Status::Ok();
  };
  // The last packs, each with its fsync.
  const auto close = [&](int, const StopSignal& stop) -> Status {
    for (std::size_t i = next_pack++; i < copiers.size(); i = next_pack++) {
      PITR_RETURN_IF_ERROR(stop.Check());
      PITR_RETURN_IF_ERROR(copiers[i]->Close());
    }
    return Status::Ok();
  };
  PITR_RETURN_IF_ERROR(RunThreads(workers, cancel, copy));
  PITR_RETURN_IF_ERROR(copiers[0]->CopyControlFile(control_index));
  return RunThreads(workers, cancel, close);
}

void RemovePacks(Repository* repo, const SnapshotId& snapshot,
                 const std::vector<std::unique_ptr<Copier>>& copiers) {
  for (const auto& copier : copiers) {
    for (const std::uint32_t number : copier->packs().published()) {
      // What cannot be removed now is named by no manifest and collected later.
      (void)repo->store()->Remove(layout::PackObject(snapshot, number));
    }
  }
}

void LogFindings(const FileSelection& selection, const Manifest& manifest, Logger* logger) {
  if (logger == nullptr) {
    return;
  }
  for (const std::string& path : selection.skipped) {
    logger->Log(LogLevel::kWarning, "skipping special file \"" + path + "\"");
  }
  constexpr std::size_t kMostPages = 10;
  for (std::size_t i = 0; i < std::min(kMostPages, manifest.bad_pages.size()); i++) {
    const BadPage& bad = manifest.bad_pages[i];
    logger->Log(LogLevel::kWarning, "checksum of block " + std::to_string(bad.block) +
                                        " of file \"" + bad.path + "\" is wrong");
  }
}

}  // namespace

namespace {

std::uint64_t BytesOf(const std::vector<CopyItem>& items) {
  std::uint64_t bytes = 0;
  for (const CopyItem& item : items) {
    for (const CopyPiece& piece : item.pieces) {
      bytes += piece.length;
    }
  }
  return bytes;
}

struct Increment {
  IncrementPlan plan;
  KnownFrames known;
};

Increment PlanFrom(const SnapshotCopyOptions& options, const ControlFile& control,
                   const std::vector<ManifestFile>& files) {
  Increment increment;
  if (options.base == nullptr) {
    return increment;
  }
  IncrementInput input;
  input.base = options.base;
  input.changed = options.changed;
  input.relation_segment_blocks = control.relation_segment_blocks;
  input.pack_sizes = options.base_pack_sizes;
  increment.plan = PlanIncrement(files, input);
  increment.known = KnownFrames(*options.base, increment.plan, files);
  return increment;
}

}  // namespace

Status CopySnapshot(Repository* repo, const SnapshotCopyOptions& options, Manifest* manifest,
                    Progress* progress, const CancelToken* cancel) {
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(options.data_directory));
  if (control.block_size != kPageSize) {
    return Status(Code::kUnsupported,
                  "block size " + std::to_string(control.block_size) + " is not supported");
  }
  PITR_ASSIGN_OR_RETURN(
      FileSelection selection,
      SelectFiles({options.data_directory, control.catalog_version, options.excluded_directories}));
  const auto control_at =
      std::find_if(selection.files.begin(), selection.files.end(),
                   [](const ManifestFile& file) { return file.path == kControlPath; });
  if (control_at == selection.files.end()) {
    return Status(Code::kIo, "\"" + options.data_directory + "\" is no data directory");
  }
  const auto control_index = static_cast<std::uint32_t>(control_at - selection.files.begin());
  const Increment increment = PlanFrom(options, control, selection.files);
  const IncrementPlan* const plan = options.base == nullptr ? nullptr : &increment.plan;
  const std::vector<CopyItem> items = PlanItems(selection.files, plan);
  if (progress != nullptr) {
    progress->Phase("copying files");
    progress->Total(BytesOf(items) + control_at->size);
  }
  const bool check_pages = options.verify_checksums && control.settings.data_checksum_version != 0;
  const CopyContext context{
      options,     selection.files, plan, increment.known, control.relation_segment_blocks,
      check_pages, progress};
  std::atomic<std::uint32_t> next_pack = 1;
  std::vector<std::unique_ptr<Copier>> copiers;
  std::vector<CopyResult> results;
  // A pack of each thread for a few pages would be many objects for little.
  const bool is_short = plan != nullptr && BytesOf(items) < kLeastShared;
  for (int i = 0; i < (is_short ? 1 : std::max(options.workers, 1)); i++) {
    copiers.push_back(std::make_unique<Copier>(repo, context, &next_pack));
    results.push_back(copiers.back()->result());
  }
  const Status status = CopyAll(items, copiers, control_index, cancel);
  if (!status.ok()) {
    RemovePacks(repo, options.snapshot, copiers);
    return status;
  }
  manifest->id = options.snapshot;
  manifest->control = control.settings;
  manifest->kind = plan == nullptr ? "full" : "increment";
  manifest->based_on = plan == nullptr ? std::nullopt : std::optional(options.base->id);
  manifest->files = std::move(selection.files);
  GatherManifest(results, options.base, plan, manifest);
  LogFindings(selection, *manifest, options.logger);
  if (options.figures != nullptr) {
    *options.figures = {0, increment.plan.compacted_bytes};
    for (const auto& copier : copiers) {
      options.figures->read_bytes += copier->read_bytes();
    }
  }
  return Status::Ok();
}

}  // namespace pitr
