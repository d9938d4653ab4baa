// Pins: a data directory that is still being loaded reads packs of the snapshot that it was laid out from, wherever it stands. The pin says so
// to every server of the repository, and whoever deletes snapshots heeds it.
//
// It lies with the other things that are known of a snapshot, in the document "snapshots", so that pinning and deleting are steps of one
// history: of two that meet, the later one sees the earlier. Format: doc/repository-format.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"

namespace pitr {

// How long a pin holds when nobody renews it: a machine that does not come back must not keep a snapshot for ever.
inline constexpr std::int64_t kLookPinMicros = 6LL * 3600 * 1000000;
inline constexpr std::int64_t kPinMicros = 7LL * 86400 * 1000000;
// Who has the directory renews it when it is that old.
inline constexpr std::int64_t kPinRenewMicros = 3600LL * 1000000;

struct Pin {
  SnapshotId snapshot;
  BranchId
      branch;  // of the directory; a pin of one that is not in the catalogue, or deleted, is void
  std::string host, directory;  // for people
  Timestamp renewed_at, expires_at;
  bool of_look =
      false;  // `branch` is the identity of a look (core/work/look.h), which no catalogue has
};

// Of this machine, from now on.
Pin NewPin(const SnapshotId& snapshot, const BranchId& branch, const std::string& directory,
           Timestamp now);

// For a look, which lives for hours at most without that somebody renews it.
Pin NewLookPin(const SnapshotId& snapshot, const BranchId& branch, const std::string& directory,
               Timestamp now);

// Of the document; kCorrupt names the snapshot.
Result<std::vector<Pin>> PinsIn(const Json& document);
// Of the document, one that holds that snapshot now.
Result<std::optional<Pin>> PinOf(const Json& document, const BranchSet& branches,
                                 const SnapshotId& snapshot, Timestamp now);

// DURABLE. The branch has this pin and no other. A deletion of the snapshot that has begun and not got far is taken back. kNotFound when the
// snapshot is gone.
Status PinSnapshot(Repository* repo, const Pin& pin);
// DURABLE. IDEMPOTENT.
Status UnpinBranch(Repository* repo, const BranchId& branch);

// May it be deleted? kNotReady when it is kept, kInUse when it is pinned. Not for ever: MarkDeleted decides.
Status CheckDeletable(Repository* repo, const SnapshotId& id, Timestamp now);
// DURABLE: said before it is done, for replicas that are away, and for whoever pins. Takes out of `gone` what must stay because somebody
// keeps or pins it; the reason for the last of those in `why` (may be null).
Status MarkDeleted(Repository* repo, std::vector<SnapshotId>* gone, Timestamp now, Status* why);
// Right before its manifest is removed: has nobody pinned it since it was marked? kInUse.
Status CheckStillMarked(Repository* repo, const SnapshotId& id);

}  // namespace pitr
