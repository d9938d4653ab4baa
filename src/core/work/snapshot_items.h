// The work of copying a snapshot, cut into items that threads take in turn.
#pragma once

#include <cstdint>
#include <vector>

#include "core/repo/manifest.h"
#include "core/work/increment_plan.h"

namespace pitr {

inline constexpr std::string_view kControlPath = "global/pg_control";

// [offset, offset + length) of a file; `to_end`: and whatever follows by now.
struct CopyPiece {
  std::uint32_t file = 0;
  std::uint64_t offset = 0, length = 0;
  bool to_end = false;
};

// A piece of a big file, whose frames are its runs of 32 pages; or pieces of several, whose frames hold what fits.
struct CopyItem {
  std::vector<CopyPiece> pieces;
  bool big = false;  // every run of 32 pages is a frame of its own
};

// Everything but pg_control. `plan`: null for a full snapshot.
std::vector<CopyItem> PlanItems(const std::vector<ManifestFile>& files, const IncrementPlan* plan);

}  // namespace pitr
