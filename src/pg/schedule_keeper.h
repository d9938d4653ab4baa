// The launcher's part in schedules: snapshots of this server's branch are taken when they are due. What is under way, and what was served, stands in the
// catalogue before anything begins, so that a due time is served once whoever dies.
#pragma once

#include "core/repo/identity.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// Launcher, each second: compares two times unless something is due; reads the catalogue each half minute, and when a session has told of a change.
// THROWS ErrorInFlight.
Status KeepSchedules(Repository* repo, const Identity& identity);
// When the server has started, or the repository is another one.
void ForgetSchedules();

}  // namespace pitr::pg
