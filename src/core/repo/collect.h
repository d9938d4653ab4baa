// Collecting what killed snapshots left in the repository: packs that no manifest names do not exist for anybody (DESIGN.md 4).
#pragma once

#include "core/base/clock.h"
#include "core/repo/repository.h"

namespace pitr {

// Removes packs of snapshots that began before `before` and have no manifest, and temporary files of writers that died before it.
// Does nothing while some snapshot that is recorded as running may still write. IDEMPOTENT, safe beside other servers.
Status CollectAbandonedPacks(Repository* repo, Timestamp before, Timestamp now);

}  // namespace pitr
