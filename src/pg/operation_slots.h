// What both sides of an operation's slot share.
#pragma once

#include <cstdint>

#include "pg/operation_state.h"
#include "pg/shmem.h"

namespace pitr::pg {

// Scope of the operations lock. Between construction and destruction only plain memory is touched: nothing raises.
class LockedSlots {
 public:
  LockedSlots() : holder_(OperationsLock()) {}
  OperationSlot* slots() const { return GetShared()->operations.slots; }

 private:
  LockHolder holder_;
};

// Sets the latch of a process of the server, if it is one. THROWS ErrorInFlight.
void WakePid(std::int32_t pid);
// Until the latch is set or the time is over. THROWS ErrorInFlight.
void NapOnLatch(long milliseconds);

}  // namespace pitr::pg
