// When a branch is to be deleted: in the future, at most 30 days ahead, to the second (features.md 42).
#pragma once

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/repo/branches.h"

namespace pitr::pg {

// Cut to the second; kInvalidArgument.
Result<Timestamp> CheckExpiry(Timestamp at, Timestamp now);
// Not the default branch, a protected one or one with children: kNotReady.
Status CheckMayExpire(const BranchSet& set, const Branch& branch);
// A branch that was deleted comes back as `name`: kAlreadyExists, kNotReady when it is too late or its parent expires, kNotFound.
Status CheckMayReturn(const BranchSet& set, const BranchId& id, const std::string& name,
                      Timestamp now);

}  // namespace pitr::pg
