// Branches with a server of their own while they are made: pitr_create_branch, and a restore that is not finalized yet.
#pragma once

#include <functional>

#include "core/repo/branches.h"
#include "pg/operation_kinds.h"

namespace pitr::pg {

// Name and port (which it gets) are the line's from here on. `check` looks at the catalogue as it is then. kAlreadyExists, kLimit.
Status AddWithPort(const OperationContext& context, Branch* line,
                   const std::function<Status(const BranchSet&)>& check);
// One that no branch has and nobody listens on; `wanted` if it is such a one. kLimit. THROWS ErrorInFlight.
Result<int> FreePort(const BranchSet& set, int wanted);
// A branch that came to nothing: server, directory, line. Failures go to the log.
void RemoveUnmade(const OperationContext& context, const Branch& branch);

}  // namespace pitr::pg
