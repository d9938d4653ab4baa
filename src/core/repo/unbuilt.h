// Branches in state "creating": lines of directories that somebody is making, and what becomes of them when nobody is any more.
#pragma once

#include <set>

#include "core/base/clock.h"
#include "core/repo/branches.h"

namespace pitr {

// Nobody builds it, as far as can be known here: its process is gone, or it has been building for seven days. A line that a server builds is
// that server's to judge before.
bool IsGivenUp(const Branch& branch, Timestamp now);

// DURABLE, IDEMPOTENT. Those of them that are still "creating" are given up; their snapshots are let go of.
Status DropUnbuilt(Repository* repo, const std::set<BranchId>& lines, Timestamp now);

// All that are given up in `branches`, which may be a little old. Not `self`, the line of a server that runs.
Status DropGivenUp(Repository* repo, const BranchSet& branches, const BranchId& self,
                   Timestamp now);

}  // namespace pitr
