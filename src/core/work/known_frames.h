// Frames of the snapshot before that hold whole files. What is read whole each time (free space and visibility maps, commit status, small
// files) has mostly not changed, and need not be stored again. A frame counts as the same when its checksum, its size and the place of
// its first byte are the same.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "core/repo/manifest.h"
#include "core/work/increment_plan.h"

namespace pitr {

class KnownFrames {
 public:
  KnownFrames() = default;  // knows none
  KnownFrames(const Manifest& base, const IncrementPlan& plan,
              const std::vector<ManifestFile>& files);
  // Number of the base's frame. `file` counts in the files that were given.
  std::optional<std::uint32_t> Find(std::uint64_t plain_hash, std::uint32_t plain_size,
                                    std::uint32_t file, std::uint64_t offset) const;

 private:
  struct Place {
    std::uint32_t frame = 0, size = 0, file = 0;
    std::uint64_t offset = 0;
  };
  std::unordered_multimap<std::uint64_t, Place> frames_;  // by checksum
};

}  // namespace pitr
