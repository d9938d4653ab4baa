// The launcher's part in pins (core/repo/pins.h): snapshots that incomplete directories of this machine are loaded from stay pinned, those of
// complete ones do not.
#pragma once

#include "core/repo/branches.h"
#include "core/repo/identity.h"

namespace pitr::pg {

// Of the live directory, and of those that belong to undo branches here. Asks the repository when there is something to renew or to let go of.
Status KeepPins(Repository* repo, const BranchSet& branches, const Identity& identity);
// The launcher has started, perhaps with another repository.
void ForgetPins();

}  // namespace pitr::pg
