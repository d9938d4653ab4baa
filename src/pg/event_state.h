// Events that are to be told by NOTIFY, in shared memory: the launcher puts them, a worker that is connected to pitr.database takes them. Plain data
// only; under OperationsLock().
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

// What NOTIFY carries is less than 8000 bytes (asyncNotify in async.c: NOTIFY_PAYLOAD_MAX_LENGTH).
inline constexpr int kEventTextSize = 4096;
inline constexpr int kEventRing = 16;

struct EventsShared {
  std::uint64_t put;                      // counted from 0; number n lies at n % kEventRing
  std::uint64_t taken;                    // before the transaction that tells it
  char text[kEventRing][kEventTextSize];  // JSON, UTF-8
};

static_assert(std::is_trivially_copyable_v<EventsShared> &&
              std::is_standard_layout_v<EventsShared>);

}  // namespace pitr::pg
