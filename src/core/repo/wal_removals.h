// WAL that retention takes out of the repository: what is to go and since when, and what went. Document "wal_removals" of the catalogue
// (doc/repository-format.md 5). By it others tell WAL that was removed on purpose from WAL that was lost: replicas, and whoever reads a history.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/lsn_ranges.h"

namespace pitr {

// Of one branch's folder, whatever the timeline; whole segments.
struct WalRemoval {
  std::uint64_t segment_size = 0;
  LsnRanges going;      // nobody needed it at marked_at, nor since
  Timestamp marked_at;  // of all of it
  LsnRanges removed;    // said before the first object goes; it may be there still
};
using WalRemovals = std::map<BranchId, WalRemoval>;

Result<WalRemovals> DecodeWalRemovals(const Json& document);
Result<WalRemovals> ReadWalRemovals(Repository* repo);
// DURABLE. `change` may be called again.
Status UpdateWalRemoval(Repository* repo, const BranchId& branch,
                        const std::function<void(WalRemoval*)>& change);

// Of the name of any object: a segment, a part of one, a piece of the tail or a label that was removed on purpose.
bool IsRemovedWal(const WalRemovals& removals, std::string_view object);

}  // namespace pitr
