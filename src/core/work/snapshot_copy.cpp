// Copies files into packs with threads. The list of files is cut into items that threads take in turn: a piece
// of a big file, whose frames are its runs of 32 pages, or a group of small files, whose frames hold several.
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
#include <tuple>

#include "core/base/file.h"
#include "core/repo/layout.h"
#include "core/work/control_file.h"
#include "core/work/file_selection.h"
#include "core/work/frame_builder.h"
#include "core/work/page_check.h"
#include "core/work/thread_pool.h"

namespace pitr {

namespace {

constexpr std::uint64_t kPieceSize = 64ULL << 20;  // of a big file: some 0.2 s of work
constexpr std::uint64_t kGroupSize = 4ULL << 20;   // of small files
constexpr std::size_t kGroupFiles = 512;
constexpr std::uint64_t kReadAhead = 1ULL << 20;
constexpr int kRereads = 3;
constexpr std::string_view kControlPath = "global/pg_control";

// [offset, offset + length) of a file; `to_end`: and whatever follows by now.
struct Piece {
  std::uint32_t file = 0;
  std::uint64_t offset = 0, length = 0;
  bool to_end = false;
};

struct Item {
  std::vector<Piece> pieces;
  bool big = false;  // every run of 32 pages is a frame of its own
};

class ItemPlanner {
 public:
  std::vector<Item> Plan(const std::vector<ManifestFile>& files) {
    for (std::uint32_t i = 0; i < files.size(); i++) {
      const ManifestFile& file = files[i];
      // An empty relation has nothing to read; an empty plain file may have got its content meanwhile.
      const bool wanted =
          file.kind == FileKind::kPlain || (file.kind == FileKind::kRelation && file.size > 0);
      if (wanted && file.path != kControlPath) {
        file.size >= kFrameSize ? AddBig(i, file) : AddSmall(i, file);
      }
    }
    Close(&relations_);
    Close(&plain_);
    return std::move(items_);
  }

 private:
  struct Group {
    Item item;
    std::uint64_t size = 0;
  };

  // Pages added after the listing come from WAL; a plain file has nothing else to add them, hence to_end.
  void AddBig(std::uint32_t index, const ManifestFile& file) {
    for (std::uint64_t offset = 0; offset < file.size; offset += kPieceSize) {
      const std::uint64_t length = std::min(kPieceSize, file.size - offset);
      const bool last = offset + length == file.size;
      items_.push_back({{{index, offset, length, last && file.kind == FileKind::kPlain}}, true});
    }
  }

  // Relations and other files never share a frame: pages stay aligned.
  void AddSmall(std::uint32_t index, const ManifestFile& file) {
    Group& group = file.kind == FileKind::kRelation ? relations_ : plain_;
    group.item.pieces.push_back({index, 0, file.size, file.kind == FileKind::kPlain});
    group.size += file.size;
    if (group.size >= kGroupSize || group.item.pieces.size() >= kGroupFiles) {
      Close(&group);
    }
  }

  void Close(Group* group) {
    if (!group->item.pieces.empty()) {
      items_.push_back(std::move(group->item));
    }
    *group = {};
  }

  std::vector<Item> items_;
  Group relations_, plain_;
};

struct CopyContext {
  const SnapshotCopyOptions& options;
  const std::vector<ManifestFile>& files;
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
        builder_(&packs_, context.options.compression_level) {}

  Status Copy(const Item& item, const StopSignal& stop);
  Status CopyControlFile(std::uint32_t index);
  Status Close() { return packs_.Close(); }

  // How far a file could be read; a file in none of any thread's list has vanished.
  struct Reached {
    std::uint32_t file = 0;
    std::uint64_t end = 0;
  };
  const std::vector<Reached>& reached() const { return reached_; }
  const std::vector<BadPage>& bad_pages() const { return bad_pages_; }
  const FrameBuilder& builder() const { return builder_; }
  const PackWriter& packs() const { return packs_; }

 private:
  Status CopyPiece(const Piece& piece, bool big, const StopSignal& stop);
  Status CheckPages(const File& file, const ManifestFile& listed, std::uint64_t offset,
                    std::size_t size);
  void Done(std::uint64_t bytes) {
    if (context_.progress != nullptr && bytes > 0) {
      context_.progress->Done(bytes);
    }
  }

  const CopyContext& context_;
  PackWriter packs_;
  FrameBuilder builder_;
  std::vector<Reached> reached_;
  std::vector<BadPage> bad_pages_;
};

Status Copier::Copy(const Item& item, const StopSignal& stop) {
  for (const Piece& piece : item.pieces) {
    PITR_RETURN_IF_ERROR(CopyPiece(piece, item.big, stop));
  }
  return builder_.Flush();
}

Status Copier::CopyPiece(const Piece& piece, bool big, const StopSignal& stop) {
  const ManifestFile& listed = context_.files[piece.file];
  PITR_RETURN_IF_ERROR(stop.Check());
  auto file = File::Open(JoinPath(context_.options.data_directory, listed.path), O_RDONLY);
  if (!file.ok()) {
    Done(piece.length);
    return file.status().code() == Code::kNotFound ? Status::Ok() : std::move(file).status();
  }
  ::posix_fadvise(file->fd(), static_cast<off_t>(piece.offset), static_cast<off_t>(piece.length),
                  POSIX_FADV_SEQUENTIAL);
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
  if (at > piece.offset || piece.offset == 0) {
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

// Frames in the order of packs and offsets, numbers of packs into indexes; extents to their files.
void GatherFrames(const std::vector<std::unique_ptr<Copier>>& copiers, Manifest* manifest) {
  manifest->packs.clear();
  manifest->frames.clear();
  manifest->stored_bytes = 0;
  struct Origin {
    std::uint32_t copier = 0, frame = 0;
  };
  std::vector<Origin> order;
  for (std::uint32_t c = 0; c < copiers.size(); c++) {
    for (std::uint32_t f = 0; f < copiers[c]->builder().frames().size(); f++) {
      order.push_back({c, f});
    }
  }
  const auto frame_of = [&](const Origin& origin) -> const Frame& {
    return copiers[origin.copier]->builder().frames()[origin.frame];
  };
  std::sort(order.begin(), order.end(), [&](const Origin& a, const Origin& b) {
    return std::pair(frame_of(a).pack, frame_of(a).offset) <
           std::pair(frame_of(b).pack, frame_of(b).offset);
  });
  std::vector<std::vector<std::uint32_t>> index_of(copiers.size());
  for (std::uint32_t c = 0; c < copiers.size(); c++) {
    index_of[c].resize(copiers[c]->builder().frames().size());
  }
  for (const Origin& origin : order) {
    Frame frame = frame_of(origin);
    if (manifest->packs.empty() || manifest->packs.back().number != frame.pack) {
      manifest->packs.push_back({manifest->id, frame.pack});
    }
    frame.pack = static_cast<std::uint32_t>(manifest->packs.size() - 1);
    index_of[origin.copier][origin.frame] = static_cast<std::uint32_t>(manifest->frames.size());
    manifest->stored_bytes += frame.packed_size;
    manifest->frames.push_back(frame);
  }
  for (std::uint32_t c = 0; c < copiers.size(); c++) {
    for (const FrameBuilder::FileExtent& found : copiers[c]->builder().extents()) {
      Extent extent = found.extent;
      extent.frame = index_of[c][extent.frame];
      manifest->files[found.file].extents.push_back(extent);
    }
  }
  manifest->new_bytes = manifest->stored_bytes;  // every frame is this snapshot's
}

// Sizes as far as files could be read; files that vanished are taken out.
void GatherFiles(const std::vector<std::unique_ptr<Copier>>& copiers, Manifest* manifest) {
  manifest->bad_pages.clear();
  manifest->database_bytes = 0;
  std::vector<bool> is_there(manifest->files.size());
  for (std::size_t i = 0; i < manifest->files.size(); i++) {
    ManifestFile& file = manifest->files[i];
    const bool was_read =
        file.kind == FileKind::kPlain || (file.kind == FileKind::kRelation && file.size > 0);
    is_there[i] = !was_read;
    file.size = 0;
  }
  for (const auto& copier : copiers) {
    for (const Copier::Reached& reached : copier->reached()) {
      is_there[reached.file] = true;
      manifest->files[reached.file].size =
          std::max(manifest->files[reached.file].size, reached.end);
    }
    for (const BadPage& bad : copier->bad_pages()) {
      manifest->bad_pages.push_back(bad);
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < manifest->files.size(); i++) {
    if (is_there[i]) {
      if (kept != i) {
        manifest->files[kept] = std::move(manifest->files[i]);
      }
      ManifestFile& file = manifest->files[kept++];
      std::sort(file.extents.begin(), file.extents.end(),
                [](const Extent& a, const Extent& b) { return a.file_offset < b.file_offset; });
      manifest->database_bytes += file.size;
    }
  }
  manifest->files.resize(kept);
  std::sort(manifest->bad_pages.begin(), manifest->bad_pages.end(),
            [](const BadPage& a, const BadPage& b) {
              return std::tie(a.path, a.block) < std::tie(b.path, b.block);
            });
}

Status CopyAll(const std::vector<Item>& items, const std::vector<std::unique_ptr<Copier>>& copiers,
               std::uint32_t control_index, const CancelToken* cancel) {
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
  if (progress != nullptr) {
    progress->Phase("copying files");
    progress->Total(selection.bytes);
  }
  const bool check_pages = options.verify_checksums && control.settings.data_checksum_version != 0;
  const CopyContext context{options, selection.files, control.relation_segment_blocks, check_pages,
                            progress};
  std::atomic<std::uint32_t> next_pack = 1;
  std::vector<std::unique_ptr<Copier>> copiers;
  for (int i = 0; i < std::max(options.workers, 1); i++) {
    copiers.push_back(std::make_unique<Copier>(repo, context, &next_pack));
  }
  const Status status =
      CopyAll(ItemPlanner().Plan(selection.files), copiers, control_index, cancel);
  if (!status.ok()) {
    RemovePacks(repo, options.snapshot, copiers);
    return status;
  }
  manifest->id = options.snapshot;
  manifest->control = control.settings;
  manifest->files = selection.files;
  GatherFrames(copiers, manifest);
  GatherFiles(copiers, manifest);
  LogFindings(selection, *manifest, options.logger);
  return Status::Ok();
}

}  // namespace pitr
