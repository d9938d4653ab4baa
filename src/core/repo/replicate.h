// The catch-up of several repositories that are replicas of one (replica_set.h): compares what they hold and copies what is missing, byte
// for byte, below the encryption. May be stopped, killed and begun again at any point; runs beside writers and readers.
//
// Every replica is compared with one, the *hub*: that which decides about names (mirrored_store.h), or else the first that is a repository.
// What only another one has is brought to the hub first, then every one gets what the hub has: packs before the manifest that names them,
// the catalogue last. A replica that is new is filled under the mark replica.json and gets repository.json as its last object.
//
// Two histories that went apart (a replica was written by itself, and so were the others) are told by an object of one name with other
// content: then nothing is copied or removed in either direction, and the replica's error says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/repo/access.h"
#include "core/store/address_list.h"
#include "core/store/store.h"

namespace pitr {

struct Replica {
  StoreAddress address;
  std::unique_ptr<ObjectStore> store;  // null: it could not be opened
  Status problem;                      // then why
};

struct ReplicaState {
  std::string place, label;
  bool is_required = true;
  Status problem;          // of this run: OK when it could be compared and got all that it lacked
  bool is_filled = false;  // it is a repository
  std::uint64_t behind_segments = 0, behind_bytes = 0;  // what it still lacks, as far as is known
  std::uint64_t copied_objects = 0, copied_bytes = 0, removed_objects = 0;
  std::optional<std::uint64_t> free_bytes;
};

struct ReplicateOptions {
  const CancelToken* cancel = nullptr;
  Timestamp now;
  // Of a snapshot's id: the catalogue of `hub` says that it was deleted. Asked at most once a run, only when it matters.
  std::function<Result<std::function<bool(const std::string&)>>(const StoreAddress& hub)> deleted;
  // Of a pack's object name: some manifest of `hub` names it, although the snapshot that wrote it may be deleted. As above.
  std::function<Result<std::function<bool(const std::string&)>>(const StoreAddress& hub)> named;
  // Of an object with WAL: the catalogue of `hub` says that retention removed it. As above.
  std::function<Result<std::function<bool(const std::string&)>>(const StoreAddress& hub)>
      wal_removed;
  // Now and then, and at the end, of each replica.
  std::function<void(const ReplicaState&)> report;
};

// One state for each replica, in order. kCancelled; kNotReady when none is a repository; kForeign for two ids. What is wrong with one
// replica is in its state and ends nothing.
Result<std::vector<ReplicaState>> Replicate(std::vector<Replica>* replicas,
                                            const ReplicateOptions& options);

// The same of a list of addresses: opened with all patience, the hub's catalogue read with the keys.
Result<std::vector<ReplicaState>> ReplicateAddress(
    const RepositoryAccess& access, const CancelToken* cancel,
    const std::function<void(const ReplicaState&)>& report);

}  // namespace pitr
