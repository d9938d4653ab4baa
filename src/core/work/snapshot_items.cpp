#include "core/work/snapshot_items.h"

#include <algorithm>

namespace pitr {

namespace {

constexpr std::uint64_t kPieceSize = 64ULL << 20;  // of a big file: some 0.2 s of work
constexpr std::uint64_t kGroupSize = 4ULL << 20;   // of small files
constexpr std::size_t kGroupFiles = 512;

class ItemPlanner {
 public:
  std::vector<CopyItem> Plan(const std::vector<ManifestFile>& files, const IncrementPlan* plan) {
    for (std::uint32_t i = 0; i < files.size(); i++) {
      const ManifestFile& file = files[i];
      // An empty relation has nothing to read; an empty plain file may have got its content meanwhile.
      const bool wanted =
          file.kind == FileKind::kPlain || (file.kind == FileKind::kRelation && file.size > 0);
      if (!wanted || file.path == kControlPath) {
        continue;
      }
      if (plan != nullptr && plan->files[i].base != nullptr) {
        AddPages(i, plan->files[i].copy);
      } else {
        file.size >= kFrameSize ? AddBig(i, file) : AddSmall(i, file);
      }
    }
    Close(&relations_);
    Close(&plain_);
    Close(&pages_);
    return std::move(items_);
  }

 private:
  struct Group {
    CopyItem item;
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
    Group* const group = file.kind == FileKind::kRelation ? &relations_ : &plain_;
    AddTo(group, {index, 0, file.size, file.kind == FileKind::kPlain});
  }

  // Whole runs of 32 become frames as in a full snapshot; what is left over shares frames, page by page.
  void AddPages(std::uint32_t index, const std::vector<PageRun>& runs) {
    for (const PageRun& run : runs) {
      const std::uint64_t begin = (run.begin + kFramePages - 1) / kFramePages * kFramePages;
      const std::uint64_t end = run.end / kFramePages * kFramePages;
      if (begin >= end) {
        AddShared(index, run);
        continue;
      }
      AddShared(index, {run.begin, begin});
      for (std::uint64_t at = begin * kPageSize; at < end * kPageSize; at += kPieceSize) {
        items_.push_back({{{index, at, std::min(kPieceSize, end * kPageSize - at), false}}, true});
      }
      AddShared(index, {end, run.end});
    }
  }

  void AddShared(std::uint32_t index, const PageRun& run) {
    if (run.begin < run.end) {
      AddTo(&pages_, {index, run.begin * kPageSize, (run.end - run.begin) * kPageSize, false});
    }
  }

  void AddTo(Group* group, const CopyPiece& piece) {
    group->item.pieces.push_back(piece);
    group->size += piece.length;
    if (group->size >= kGroupSize || group->item.pieces.size() >= kGroupFiles) {
      Close(group);
    }
  }

  void Close(Group* group) {
    if (!group->item.pieces.empty()) {
      items_.push_back(std::move(group->item));
    }
    *group = {};
  }

  std::vector<CopyItem> items_;
  Group relations_, plain_, pages_;
};

}  // namespace

std::vector<CopyItem> PlanItems(const std::vector<ManifestFile>& files, const IncrementPlan* plan) {
  return ItemPlanner().Plan(files, plan);
}

}  // namespace pitr
