// Which snapshot the next one can be based on, and what changed since.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/plan/changed_pages.h"
#include "core/repo/branches.h"
#include "core/repo/manifest.h"

namespace pitr {

struct IncrementBase {
  Manifest manifest;
  std::vector<std::uint64_t> pack_sizes;  // of manifest.packs, as they are stored
  ChangedPages changed;                   // from the manifest's start LSN to the next one's
};

struct IncrementChoice {
  std::optional<IncrementBase> base;
  std::string why_full;  // when there is none
};

// For the snapshot `next` of which branch, root, timeline, start LSN, from_standby and control settings are known. The newest snapshot
// before it on the same history, as long as nothing is in doubt. An increment covers [start of the one before, start of the next): the
// pages that the former copied while they changed are right only by its own replay. Fails only when the store does not answer.
Result<IncrementChoice> ChooseIncrementBase(Repository* repo, const BranchSet& branches,
                                            const Manifest& next);

}  // namespace pitr
