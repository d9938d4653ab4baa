// Whether there is anything new since a snapshot.
#pragma once

#include "core/base/cancel.h"
#include "core/plan/line_history.h"
#include "core/repo/manifest.h"

namespace pitr {

// Whether a transaction that wrote something was committed on `line` behind the snapshot's stop. Checkpoints, restore points, hint bits and what
// vacuum does without a transaction number are no commits; a transaction with a number and nothing else, as the heartbeat's, is an empty one and
// does not count. True as well when that cannot be told: there is a gap, or too much WAL to read.
Result<bool> HasCommitsSince(const LineHistory& line, const Manifest& snapshot,
                             const CancelToken& cancel);

}  // namespace pitr
