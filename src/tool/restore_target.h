// From the arguments of `pitr restore` to a request for the planner.
#pragma once

#include <string>

#include "core/base/clock.h"
#include "core/plan/restore_plan.h"
#include "core/repo/branches.h"
#include "tool/options.h"

namespace pitr::tool {

// The branch of --branch, else the default one, else the only one that has a name; kNotFound / kAmbiguous listing them.
Result<const Branch*> ChooseBranch(const BranchSet& branches, const Options& options);
// --target, --target-time, --target-lsn: at most one; none is the head. Times: RFC 3339, a blank for the T is taken too; without
// a zone they are refused, since nobody here knows which one was meant.
Result<PlanRequest> RequestOfOptions(const BranchSet& branches, const Branch& branch,
                                     const Options& options, Timestamp now);
Result<Timestamp> ParseTargetTime(const std::string& text);

}  // namespace pitr::tool
