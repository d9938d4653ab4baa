// Which of the snapshots that were taken to keep replay short may go again: a rule of their own, so that they neither fill the repository nor
// the list. Pure.
#pragma once

#include <optional>
#include <vector>

#include "core/types/ids.h"
#include "core/types/lsn.h"

namespace pitr {

// One that a restore can begin from.
struct ThinningItem {
  SnapshotId id;
  Lsn start;
  std::optional<std::size_t> stretch;  // of WAL without a hole; nullopt: its WAL is not all there
  bool may_go = false;                 // taken for replay's sake, and nobody has asked to keep it
};

inline constexpr std::size_t kNewestKept = 4;

// `items`: all snapshots of a line, oldest first. The newest four that may go stay. An older one goes when the gap that it leaves is no
// longer than half the way from its newer neighbour to the newest snapshot: a restore to a point D bytes of WAL ago replays no more than
// D / 2 bytes and what lies between two snapshots now. The oldest of a stretch stays: points are reached from it alone.
std::vector<SnapshotId> ThinSnapshots(const std::vector<ThinningItem>& items);

}  // namespace pitr
