// Which pages of which files an increment reads; everything else it takes over from the snapshot that it is based on. Pure: manifest,
// index and listing in, work out.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/changed_pages.h"
#include "core/repo/manifest.h"

namespace pitr {

// Pages [begin, end) of a file.
struct PageRun {
  std::uint64_t begin = 0, end = 0;
  friend bool operator==(const PageRun&, const PageRun&) = default;
};

struct FilePlan {
  // Whose extents stay where nothing is copied. Null: the whole file is copied, as in a full snapshot.
  const ManifestFile* base = nullptr;
  std::vector<PageRun> copy;  // of a file with a base: ascending, apart, within the file
};

struct IncrementPlan {
  std::vector<FilePlan> files;  // as the files that were given
  // Of base->packs: those that are mostly dead. What is still alive there is copied again, as much as a snapshot may spend on that.
  std::vector<bool> worn;
  std::uint64_t compacted_bytes = 0;  // of `copy`: pages that did not change
};

struct IncrementInput {
  const Manifest* base = nullptr;
  const ChangedPages* changed = nullptr;
  std::uint32_t relation_segment_blocks = 131072;
  std::vector<std::uint64_t> pack_sizes;  // of base->packs, as they are stored; 0: not known
  // Unchanged pages that may be copied again: as many bytes as change anyway, and at least these.
  std::uint64_t least_compaction = 16ULL << 20;
};

// `files`: what the directory holds now, with sizes.
//
// Page by page go main forks that are in the base as well, and were neither dropped nor created since. Of them are read: pages that the
// index names; what lies behind the least length that a truncation left; what lies behind the end in the base, since a relation grows
// by pages of zeroes that are in no WAL; bad pages of the base. Hint bits that were set since are not in WAL and are left behind
// (unless page checksums or wal_log_hints are on): whoever needs them finds the same out again.
IncrementPlan PlanIncrement(const std::vector<ManifestFile>& files, const IncrementInput& input);

// What of `plan.base` stays when the file has `size` bytes. Frames count in the base. REQUIRES: plan.base
std::vector<Extent> KeptExtents(const FilePlan& plan, std::uint64_t size);

// `more` in any order is taken into `runs`.
void AddRuns(std::vector<PageRun> more, std::vector<PageRun>* runs);

// Used by PlanIncrement: adds pages that are worth being stored anew (increment_compaction.cpp).
void PlanCompaction(const std::vector<ManifestFile>& files, const IncrementInput& input,
                    IncrementPlan* plan);

}  // namespace pitr
