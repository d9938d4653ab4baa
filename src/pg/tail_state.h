// The tail in shared memory: who ships it, and how far the repository is known to hold what was flushed. Plain data only. Under
// ArchiveLock(); nobody does I/O, raises or throws while holding it.
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

struct TailShared {
  std::int32_t pid;     // of the tail shipper, 0: there is none
  std::uint64_t latch;  // Latch* of that process; setting it after its end is harmless

  // Written by whoever ships. Times are microseconds since the Unix epoch.
  std::uint64_t durable_lsn;  // everything before it is in the repository; 0 = not known
  std::int64_t advanced_at;   // when that was so first
  std::int64_t flushed_by;    // everything that was flushed by then lies before durable_lsn
};

static_assert(std::is_trivially_copyable_v<TailShared> && std::is_standard_layout_v<TailShared>);

}  // namespace pitr::pg
