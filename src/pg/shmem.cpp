#include "pg/shmem.h"

#include <cstring>

#include "pg/boundary.h"
#include "pg/exchange.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace pitr::pg {

namespace {

// Set in the postmaster, inherited by its children.
constinit Shared* shared = nullptr;
constinit LWLock* archive_lock = nullptr;
constinit LWLock* operations_lock = nullptr;
constinit shmem_request_hook_type previous_request = nullptr;
constinit shmem_startup_hook_type previous_startup = nullptr;

extern "C" {

static void RequestShmem() {
  if (previous_request != nullptr) {
    previous_request();
  }
  RequestAddinShmemSpace(sizeof(Shared));
  RequestNamedLWLockTranche("pitr_archive", 1);
  RequestNamedLWLockTranche("pitr_operations", 1);
}

static void StartShmem() {
  if (previous_startup != nullptr) {
    previous_startup();
  }
  bool found = false;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  shared = static_cast<Shared*>(ShmemInitStruct("pitr_ext", sizeof(Shared), &found));
  if (!found) {
    std::memset(static_cast<void*>(shared), 0, sizeof(Shared));
  }
  LWLockRelease(AddinShmemInitLock);
  archive_lock = &GetNamedLWLockTranche("pitr_archive")->lock;
  operations_lock = &GetNamedLWLockTranche("pitr_operations")->lock;
  ExchangeShmemStartup();
}
}

}  // namespace

void ShmemInit() {
  previous_request = shmem_request_hook;
  shmem_request_hook = RequestShmem;
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = StartShmem;
}

Shared* GetShared() noexcept { return shared; }

LWLock* ArchiveLock() noexcept { return archive_lock; }

LWLock* OperationsLock() noexcept { return operations_lock; }

Status RequireShared() {
  if (shared != nullptr) {
    return Status::Ok();
  }
  return Status(Code::kNotReady, "pitr_ext must be loaded via shared_preload_libraries")
      .WithHint("Add pitr_ext to shared_preload_libraries and restart the server.");
}

LockHolder::LockHolder(LWLock* lock, bool exclusive) : lock_(lock) {
  Call([&] { LWLockAcquire(lock, exclusive ? LW_EXCLUSIVE : LW_SHARED); });
}

LockHolder::~LockHolder() { LWLockRelease(lock_); }

}  // namespace pitr::pg
