// The shared memory of the library: one struct, made when the server starts and again after each crash cycle, all zero then.
#pragma once

#include <type_traits>

#include "core/base/status.h"
#include "pg/archive_state.h"
#include "pg/event_state.h"
#include "pg/exchange_state.h"
#include "pg/lease_state.h"
#include "pg/operation_state.h"
#include "pg/synchronous_state.h"
#include "pg/tail_state.h"
#include "pg/postgres_headers.h"

struct LWLock;

namespace pitr::pg {

struct Shared {
  ArchiveShared archive;          // lock: ArchiveLock()
  TailShared tail;                // lock: ArchiveLock()
  LeaseShared lease;              // lock: ArchiveLock()
  SynchronousShared synchronous;  // lock: ArchiveLock()
  OperationsShared operations;    // lock: OperationsLock()
  EventsShared events;            // lock: OperationsLock()
  ExchangeShared exchange;        // see exchange_state.h
};

static_assert(std::is_trivially_copyable_v<Shared> && std::is_standard_layout_v<Shared>);

// From _PG_init when preloaded: chains the two hooks.
void ShmemInit();

// nullptr when the library was not preloaded.
Shared* GetShared() noexcept;
LWLock* ArchiveLock() noexcept;
LWLock* OperationsLock() noexcept;

// kNotReady (55000) when the library was not preloaded.
Status RequireShared();

// Holds a lock for a few assignments; nothing in between may raise or throw. THROWS: ErrorInFlight (constructor).
class LockHolder {
 public:
  explicit LockHolder(LWLock* lock, bool exclusive = true);
  ~LockHolder();
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;

 private:
  LWLock* lock_;
};

}  // namespace pitr::pg
