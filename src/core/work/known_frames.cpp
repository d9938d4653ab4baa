#include "core/work/known_frames.h"

#include <string_view>

namespace pitr {

KnownFrames::KnownFrames(const Manifest& base, const IncrementPlan& plan,
                         const std::vector<ManifestFile>& files) {
  std::unordered_map<std::string_view, const ManifestFile*> base_files;
  for (const ManifestFile& file : base.files) {
    base_files.emplace(file.path, &file);
  }
  for (std::uint32_t i = 0; i < files.size(); i++) {
    const auto found = base_files.find(files[i].path);
    if (plan.files[i].base != nullptr || found == base_files.end() ||
        found->second->kind != files[i].kind) {
      continue;
    }
    for (const Extent& extent : found->second->extents) {
      const Frame& frame = base.frames[extent.frame];
      if (extent.frame_offset == 0 && !plan.worn[frame.pack]) {
        frames_.emplace(frame.plain_hash,
                        Place{extent.frame, frame.plain_size, i, extent.file_offset});
      }
    }
  }
}

std::optional<std::uint32_t> KnownFrames::Find(std::uint64_t plain_hash, std::uint32_t plain_size,
                                               std::uint32_t file, std::uint64_t offset) const {
  const auto [begin, end] = frames_.equal_range(plain_hash);
  for (auto at = begin; at != end; ++at) {
    const Place& place = at->second;
    if (place.size == plain_size && place.file == file && place.offset == offset) {
      return place.frame;
    }
  }
  return std::nullopt;
}

}  // namespace pitr
