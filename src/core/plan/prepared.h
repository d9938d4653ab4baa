// Prepared transactions that a restored server would hold (rules.md 3).
#pragma once

#include <string>
#include <vector>

#include "core/plan/restore_plan.h"

namespace pitr {

// Names (gid) of transactions that are prepared and not finished at the plan's target. One that was prepared before the
// snapshot began is known by its file in pg_twophase only and named "xid <n>".
Result<std::vector<std::string>> PreparedAt(Repository* repo, const BranchSet& branches,
                                            const RestorePlan& plan);

}  // namespace pitr
