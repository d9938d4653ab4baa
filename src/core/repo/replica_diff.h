// What two replicas lack of each other, and what is to be done about it. Pure: listings in, work out.
//
// Objects are immutable, so what one lacks is copied, in both directions: whichever was away or was written while the other was not is
// made whole. Nothing is removed for the sole reason that the other side does not have it: that may as well be a loss there. It is removed
// only when the other side shows that it was given up:
//
//   catalog/<kind>/<n>       the other side has n + 16 or more (catalogue.cpp keeps 16)
//   keys/<n>                 the other side has a newer one
//   …/tail/…                 the other side has the whole segment, or a piece of the segment that holds this one's bytes
//   snapshots/<id>/manifest  the catalogue says that the snapshot was deleted
//   packs/<id>/…             the same, and no manifest names the pack; or neither side has a manifest, the other side has no pack of it,
//                            no manifest names the pack, and it is old
//   dumps/<id>/…             the catalogue says that the dump was deleted
//   probe/…                  always; and is never copied
//
//   …/wal/…, …/tail/…        the catalogue says that retention removed that WAL
//
// A timeline's history is never removed.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/store/store.h"

namespace pitr {

struct ReplicaDiff {
  // Data before the object that names it.
  std::vector<ObjectStat> to_copy;     // from hub to member
  std::vector<ObjectStat> to_bring;    // from member to hub
  std::vector<std::string> to_remove;  // from the member
  // Both have it, with different sizes.
  std::vector<std::string> conflicts;
  std::uint64_t behind_segments = 0, behind_bytes = 0;  // of to_copy
};

// `hub` and `member`: all objects, in name order. `is_deleted`: of the id of a snapshot or dump, `is_named`: whether a manifest names that pack object;
// `is_wal_removed`: of the name of an object with WAL. They are asked only when it matters.
ReplicaDiff CompareReplicas(const std::vector<ObjectStat>& hub,
                            const std::vector<ObjectStat>& member, Timestamp now,
                            const std::function<bool(const std::string&)>& is_deleted,
                            const std::function<bool(const std::string&)>& is_named,
                            const std::function<bool(const std::string&)>& is_wal_removed);

// Smaller is copied earlier: keys, packs and other data, WAL, pieces of the tail, manifests, catalogue.
int CopyOrder(const std::string& object_name);

// Newest number that both have of each kind of catalogue, and of the keys: two histories that went apart differ there.
std::vector<std::string> NewestCommon(const std::vector<ObjectStat>& a,
                                      const std::vector<ObjectStat>& b);

bool IsWalSegmentObject(const std::string& object_name);

}  // namespace pitr
