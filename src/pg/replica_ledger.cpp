#include "pg/replica_ledger.h"

#include <algorithm>
#include <cstring>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/repo/replica_diff.h"
#include "core/store/member_ledger.h"
#include "pg/log.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace pitr::pg {

namespace {

std::int64_t NowMs() { return SystemClock().MonotonicMillis(); }

template <std::size_t kSize>
void CopyText(const std::string& text, char (&to)[kSize]) noexcept {
  const std::size_t size = std::min(text.size(), kSize - 1);
  std::copy_n(text.data(), size, to);
  to[size] = '\0';
}

class SharedLedger final : public MemberLedger {
 public:
  bool IsResting(const std::string& place) override {
    const std::optional<ReplicaSlot> slot = FindReplica(place);
    return slot && NowMs() < slot->rests_until_ms;
  }

  void Failed(const std::string& place, const Status& status) override {
    const std::int64_t now = NowMs();
    ChangeReplica(place, [&](ReplicaSlot* slot) {
      slot->failures++;
      slot->rests_until_ms = now + RestMs(slot->failures, status.code());
      CopyText(status.message(), slot->last_error);
    });
  }

  void Answered(const std::string& place) override {
    ChangeReplica(place, [](ReplicaSlot* slot) {
      slot->failures = 0;
      slot->rests_until_ms = 0;
      slot->last_error[0] = '\0';
    });
  }

  void Missed(const std::string& place, const std::string& name, std::uint64_t bytes) override {
    const bool is_wal = bytes > 0 && IsWalSegmentObject(name);
    ChangeReplica(place, [&](ReplicaSlot* slot) {
      slot->wholeness = Wholeness::kBehind;
      slot->missed++;
      slot->missed_segments += is_wal ? 1 : 0;
      slot->missed_bytes += bytes;
    });
  }

  bool IsBehind(const std::string& place, bool otherwise) override {
    const std::optional<ReplicaSlot> slot = FindReplica(place);
    return !slot || slot->wholeness == Wholeness::kUnknown ? otherwise
                                                           : slot->wholeness == Wholeness::kBehind;
  }

  void Damaged(const std::string& place, const std::string& name) override {
    ChangeReplica(place, [&](ReplicaSlot* slot) {
      CopyText("object \"" + name + "\" is damaged", slot->damage);
    });
    LogQuietly(WARNING,
               "object \"" + name + "\" of repository \"" + place +
                   "\" is damaged: it is read from another one",
               {},
               "pitr_verify() shows all that is damaged. What is removed comes back from a sound "
               "repository.");
  }

  bool WasMember(const std::string& place) override {
    const std::optional<ReplicaSlot> slot = FindReplica(place);
    return slot && slot->was_member;
  }
};

constinit SharedLedger shared_ledger;

// Set in the postmaster, inherited by its children.
constinit ReplicasShared* shared = nullptr;
constinit LWLock* replicas_lock = nullptr;
constinit shmem_request_hook_type previous_request = nullptr;
constinit shmem_startup_hook_type previous_startup = nullptr;

extern "C" {

static void RequestReplicas() {
  if (previous_request != nullptr) {
    previous_request();
  }
  RequestAddinShmemSpace(sizeof(ReplicasShared));
  RequestNamedLWLockTranche("pitr_replicas", 1);
}

static void StartReplicas() {
  if (previous_startup != nullptr) {
    previous_startup();
  }
  bool found = false;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  shared = static_cast<ReplicasShared*>(
      ShmemInitStruct("pitr_ext replicas", sizeof(ReplicasShared), &found));
  if (!found) {
    std::memset(static_cast<void*>(shared), 0, sizeof(ReplicasShared));
  }
  LWLockRelease(AddinShmemInitLock);
  replicas_lock = &GetNamedLWLockTranche("pitr_replicas")->lock;
}
}

}  // namespace

void UseSharedLedger() {
  SetMemberLedger(&shared_ledger);
  previous_request = shmem_request_hook;
  shmem_request_hook = RequestReplicas;
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = StartReplicas;
}

ReplicasShared* GetReplicas() noexcept { return shared; }

LWLock* ReplicasLock() noexcept { return replicas_lock; }

std::uint64_t ReplicaHash(const std::string& place) { return Xxh3(AsBytes(place)) | 1; }

ReplicaSlot* FindReplicaSlot(std::uint64_t hash, bool make) noexcept {
  ReplicaSlot* free = nullptr;
  for (ReplicaSlot& slot : GetReplicas()->slots) {
    if (slot.place == hash) {
      return &slot;
    }
    if (slot.place == 0 && free == nullptr) {
      free = &slot;
    }
  }
  if (!make || free == nullptr) {
    return nullptr;
  }
  *free = {};
  free->place = hash;
  return free;
}

std::optional<ReplicaSlot> FindReplica(const std::string& place) {
  if (GetReplicas() == nullptr) {
    return std::nullopt;
  }
  const std::uint64_t hash = ReplicaHash(place);
  std::optional<ReplicaSlot> copy;
  const LockHolder lock(ReplicasLock(), false);
  const ReplicaSlot* const slot = FindReplicaSlot(hash, false);
  if (slot != nullptr) {
    copy = *slot;
  }
  return copy;
}

}  // namespace pitr::pg
