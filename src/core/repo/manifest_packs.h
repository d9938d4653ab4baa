// Which packs a manifest names, without the rest of it: what may be removed is decided by that alone.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/repo/manifest.h"

namespace pitr {

// The whole object is read and verified; memory does not grow with it. kNotFound, kCorrupt as ReadManifest.
Result<std::vector<PackRef>> ReadManifestPacks(Repository* repo, const SnapshotId& id);

// How long the packs are as they are stored, with one listing for all; 0 for one that is not there.
Result<std::vector<std::uint64_t>> ReadPackSizes(Repository* repo,
                                                 const std::vector<PackRef>& packs);

using PackSet = std::set<std::pair<SnapshotId, std::uint32_t>>;

// The packs that any manifest of a repository names. A manifest never changes, so each is read once.
class PackUse {
 public:
  // Of the snapshots `living`, with those that are gone forgotten. Fails when one of them cannot be read: then nobody knows what it needs.
  Result<PackSet> Named(Repository* repo, const std::set<SnapshotId>& living);

 private:
  std::map<SnapshotId, std::vector<PackRef>> read_;
};

}  // namespace pitr
