// The ledger of repositories (core/store/member_ledger.h) that the processes of a server share.
#pragma once

#include <optional>
#include <string>

#include "pg/replica_state.h"
#include "pg/shmem.h"

namespace pitr::pg {

// From _PG_init when preloaded, after ShmemInit(): asks for shared memory. Allocates nothing.
void UseSharedLedger();
// nullptr when the library was not preloaded.
ReplicasShared* GetReplicas() noexcept;
LWLock* ReplicasLock() noexcept;

// A copy; nothing when nothing is known of it.
std::optional<ReplicaSlot> FindReplica(const std::string& place);

ReplicaSlot* FindReplicaSlot(std::uint64_t hash, bool make) noexcept;  // REQUIRES: the lock
std::uint64_t ReplicaHash(const std::string& place);

// Calls change(slot) under the lock, with a new slot when there is none; nothing happens when none is free. `change` neither raises nor
// throws. THROWS: ErrorInFlight.
template <typename Change>
void ChangeReplica(const std::string& place, Change change) {
  if (GetReplicas() == nullptr) {
    return;
  }
  const std::uint64_t hash = ReplicaHash(place);
  const LockHolder lock(ReplicasLock());
  if (ReplicaSlot* const slot = FindReplicaSlot(hash, true)) {
    change(slot);
  }
}

}  // namespace pitr::pg
