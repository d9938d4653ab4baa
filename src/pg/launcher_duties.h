// What the launcher does besides waiting: closing an exchange, shipping on request, the first snapshot, sweeping, measuring.
#pragma once

#include "core/base/result.h"
#include "core/repo/identity.h"
#include "core/repo/repository.h"
#include "pg/branch_sizes.h"
#include "pg/compute_keeper.h"
#include "pg/idle_watch.h"

namespace pitr::pg {

// Once per launcher start, as soon as the repository is open and the identity is known.
Status LauncherStartup(Repository* repo, const Identity& identity);
// Each second, and when the latch is set.
Status LauncherTick(Repository* repo, const Identity& identity, BranchSizer* sizer,
                    ComputeKeeper* computes, IdleWatch* idle);
// Before the repository is needed: first thing in the launcher's life. Confirms an exchange so that sessions are let in.
void LauncherConfirmExchange();

}  // namespace pitr::pg
