// Frames are listed as they lie: those of the base that are still referred to, in the order of the base, then the new ones by pack and
// offset. Files as they were listed.
#include "core/work/snapshot_gather.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace pitr {

namespace {

constexpr std::uint32_t kUnused = std::numeric_limits<std::uint32_t>::max();

class Gatherer {
 public:
  Gatherer(const std::vector<CopyResult>& results, const Manifest* base, const IncrementPlan* plan,
           Manifest* manifest)
      : results_(results), base_(base), plan_(plan), manifest_(*manifest) {}

  void Run() {
    manifest_.packs.clear();
    manifest_.frames.clear();
    manifest_.bad_pages.clear();
    manifest_.stored_bytes = manifest_.new_bytes = manifest_.database_bytes = 0;
    for (ManifestFile& file : manifest_.files) {
      file.extents.clear();
    }
    if (base_ != nullptr) {
      AddKept();
      AddBaseFrames();
    }
    AddNewFrames();
    SetSizes();
    for (const CopyResult& result : results_) {
      manifest_.bad_pages.insert(manifest_.bad_pages.end(), result.bad_pages->begin(),
                                 result.bad_pages->end());
    }
    std::sort(manifest_.bad_pages.begin(), manifest_.bad_pages.end(),
              [](const BadPage& a, const BadPage& b) {
                return std::tie(a.path, a.block) < std::tie(b.path, b.block);
              });
  }

 private:
  bool IsPaged(std::size_t file) const {
    return plan_ != nullptr && plan_->files[file].base != nullptr;
  }

  // Frames count in the base until AddBaseFrames has given them their numbers.
  void AddKept() {
    for (std::size_t i = 0; i < manifest_.files.size(); i++) {
      ManifestFile& file = manifest_.files[i];
      if (IsPaged(i)) {
        file.extents = KeptExtents(plan_->files[i], file.size);
      }
    }
    for (const CopyResult& result : results_) {
      for (const FrameBuilder::FileExtent& found : result.builder->extents()) {
        if (found.is_known) {
          manifest_.files[found.file].extents.push_back(found.extent);
        }
      }
    }
  }

  void AddBaseFrames() {
    std::vector<std::uint32_t> number(base_->frames.size(), kUnused);
    for (const ManifestFile& file : manifest_.files) {
      for (const Extent& extent : file.extents) {
        number[extent.frame] = 0;
      }
    }
    std::vector<std::uint32_t> pack_number(base_->packs.size(), kUnused);
    for (std::size_t i = 0; i < number.size(); i++) {
      if (number[i] == kUnused) {
        continue;
      }
      Frame frame = base_->frames[i];
      std::uint32_t& pack = pack_number[frame.pack];
      if (pack == kUnused) {
        pack = static_cast<std::uint32_t>(manifest_.packs.size());
        manifest_.packs.push_back(base_->packs[frame.pack]);
      }
      frame.pack = pack;
      number[i] = static_cast<std::uint32_t>(manifest_.frames.size());
      manifest_.stored_bytes += frame.packed_size;
      manifest_.frames.push_back(frame);
    }
    for (ManifestFile& file : manifest_.files) {
      for (Extent& extent : file.extents) {
        extent.frame = number[extent.frame];
      }
    }
  }

  void AddNewFrames() {
    struct Origin {
      std::uint32_t result = 0, frame = 0;
    };
    std::vector<Origin> order;
    std::vector<std::vector<std::uint32_t>> number(results_.size());
    for (std::uint32_t r = 0; r < results_.size(); r++) {
      const std::size_t count = results_[r].builder->frames().size();
      number[r].resize(count);
      for (std::uint32_t f = 0; f < count; f++) {
        order.push_back({r, f});
      }
    }
    const auto frame_of = [&](const Origin& origin) -> const Frame& {
      return results_[origin.result].builder->frames()[origin.frame];
    };
    std::sort(order.begin(), order.end(), [&](const Origin& a, const Origin& b) {
      return std::pair(frame_of(a).pack, frame_of(a).offset) <
             std::pair(frame_of(b).pack, frame_of(b).offset);
    });
    const std::size_t old_packs = manifest_.packs.size();
    for (const Origin& origin : order) {
      Frame frame = frame_of(origin);
      if (manifest_.packs.size() == old_packs || manifest_.packs.back().number != frame.pack) {
        manifest_.packs.push_back({manifest_.id, frame.pack});
      }
      frame.pack = static_cast<std::uint32_t>(manifest_.packs.size() - 1);
      number[origin.result][origin.frame] = static_cast<std::uint32_t>(manifest_.frames.size());
      manifest_.new_bytes += frame.packed_size;
      manifest_.frames.push_back(frame);
    }
    manifest_.stored_bytes += manifest_.new_bytes;
    for (std::size_t r = 0; r < results_.size(); r++) {
      for (const FrameBuilder::FileExtent& found : results_[r].builder->extents()) {
        if (!found.is_known) {
          Extent extent = found.extent;
          extent.frame = number[r][extent.frame];
          manifest_.files[found.file].extents.push_back(extent);
        }
      }
    }
  }

  // Sizes as far as files could be read, of those that were read whole. Pages that an increment wanted and that are gone by now are
  // behind a truncation that comes after the start LSN: they are left as zeroes, and replay cuts them off.
  void SetSizes() {
    std::vector<bool> is_there(manifest_.files.size());
    for (std::size_t i = 0; i < manifest_.files.size(); i++) {
      ManifestFile& file = manifest_.files[i];
      const bool was_read =
          file.kind == FileKind::kPlain || (file.kind == FileKind::kRelation && file.size > 0);
      is_there[i] = !was_read || IsPaged(i);
      file.size = IsPaged(i) ? file.size : 0;
    }
    for (const CopyResult& result : results_) {
      for (const ReachedEnd& reached : *result.reached) {
        is_there[reached.file] = true;
        std::uint64_t& size = manifest_.files[reached.file].size;
        size = std::max(size, reached.end);
      }
    }
    for (const CopyResult& result : results_) {
      for (const std::uint32_t file : *result.vanished) {
        is_there[file] = false;
      }
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < manifest_.files.size(); i++) {
      if (!is_there[i]) {
        continue;
      }
      if (kept != i) {
        manifest_.files[kept] = std::move(manifest_.files[i]);
      }
      ManifestFile& file = manifest_.files[kept++];
      std::sort(file.extents.begin(), file.extents.end(),
                [](const Extent& a, const Extent& b) { return a.file_offset < b.file_offset; });
      manifest_.database_bytes += file.size;
    }
    manifest_.files.resize(kept);
  }

  const std::vector<CopyResult>& results_;
  const Manifest* const base_;
  const IncrementPlan* const plan_;
  Manifest& manifest_;
};

}  // namespace

void GatherManifest(const std::vector<CopyResult>& results, const Manifest* base,
                    const IncrementPlan* plan, Manifest* manifest) {
  Gatherer(results, base, plan, manifest).Run();
}

}  // namespace pitr
