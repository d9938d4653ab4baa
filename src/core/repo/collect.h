// Removing snapshots and what they leave. A pack stays while any manifest names it, whoever wrote it; packs that no manifest names do not
// exist for anybody (DESIGN.md 4).
#pragma once

#include <cstdint>
#include <set>

#include "core/base/clock.h"
#include "core/repo/manifest_packs.h"
#include "core/repo/repository.h"

namespace pitr {

// The manifest goes first, then the packs that it alone named: their bytes are returned. An increment that is being based on it finds
// the manifest gone, or is seen here. When another manifest cannot be read, all packs stay until it can (or is removed).
Result<std::uint64_t> RemoveSnapshot(Repository* repo, const SnapshotId& id);

// What a caller that collects again and again keeps in between.
struct CollectState {
  PackUse use;
  // After these were looked at nothing was left to do.
  std::set<SnapshotId> candidates, living;
};

// Removes packs of snapshots that began before `before`, have no manifest and are named by none, and temporary files of writers that
// died before it. Does nothing while some snapshot that is recorded as running may still write. IDEMPOTENT, safe beside other servers.
Status CollectAbandonedPacks(Repository* repo, Timestamp before, Timestamp now,
                             CollectState* state);

}  // namespace pitr
