// From what the threads copied to the parts of a manifest.
#pragma once

#include <cstdint>
#include <vector>

#include "core/repo/manifest.h"
#include "core/work/frame_builder.h"
#include "core/work/increment_plan.h"

namespace pitr {

// How far a file that is copied whole could be read.
struct ReachedEnd {
  std::uint32_t file = 0;
  std::uint64_t end = 0;
};

// Of one thread; must live as long as the gathering.
struct CopyResult {
  const FrameBuilder* builder = nullptr;
  const std::vector<ReachedEnd>* reached = nullptr;      // a file in no list has vanished
  const std::vector<std::uint32_t>* vanished = nullptr;  // files of which pages were wanted
  const std::vector<BadPage>* bad_pages = nullptr;
};

// Fills packs, frames, extents and sizes of files, bad_pages, new_bytes, stored_bytes, database_bytes; takes out files that vanished.
// REQUIRES: manifest->files are those that were copied, with the sizes of the listing. `base` and `plan`: both or none.
void GatherManifest(const std::vector<CopyResult>& results, const Manifest* base,
                    const IncrementPlan* plan, Manifest* manifest);

}  // namespace pitr
