// Bounded replay: an increment is taken whenever a restore to now would have to replay more WAL than pitr.max_replay_bytes, or longer than
// pitr.max_replay_time (DESIGN.md 7).
#pragma once

#include "core/repo/branches.h"
#include "pg/operation_kinds.h"

namespace pitr::pg {

// Launcher, each second: costs nothing until the limit is passed, and one list of snapshots then.
Status KeepReplayShort(Repository* repo, const Identity& identity);
// When the server has started, or the repository is another one: nothing is known of its snapshots.
void ForgetReplayBound();

// Operation worker, after it has taken such a snapshot: those that have become too many go (core/plan/thinning.h). As an operation it is
// alone, so that no restore of this server reads one of them.
Status ThinReplaySnapshots(const OperationContext& context);

}  // namespace pitr::pg
