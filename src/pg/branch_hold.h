// Keeping a branch that has a server here for oneself: against the launcher that would start it, against operations of other servers.
#pragma once

#include <string>

#include "core/repo/branches.h"
#include "pg/operation_kinds.h"
#include "pg/session.h"

namespace pitr::pg {

// Operations on one branch may run in several servers: its own, and any beside it. Waits until none of another server is under way,
// pitr.operation_lock_timeout at most (kLockTimeout, which names it): true when there was one. Courtesy only: what changes hands is looked at
// again in the catalogue. THROWS ErrorInFlight.
Result<bool> WaitForOtherServers(const Session& session, const Branch& branch);

// A branch whose server shall run is "restoring" from here on, so that nobody starts it; of a stopped one nothing need be kept away. What a
// death leaves there, the sweep puts back. kInUse when it is not what it was when `branch` was read.
Status HoldBranch(const OperationContext& context, const Branch& branch);
// And when that came to nothing. Failures go to the log.
void LetGoOfBranch(const OperationContext& context, const Branch& branch);

// Its server does not run, by a fast stop if that is enough: what it has committed is in the repository then. THROWS ErrorInFlight.
Status StopForGood(const std::string& directory);

}  // namespace pitr::pg
