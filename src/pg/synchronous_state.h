// Synchronous commits in shared memory: who confirms them, over which connection. Plain data only. Under ArchiveLock(); nobody
// does I/O, raises or throws while holding it.
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

struct SynchronousShared {
  std::int32_t pid;     // of the confirmer, 0: there is none
  std::uint64_t latch;  // Latch* of that process; setting it after its end is harmless

  std::int32_t sender_pid;  // WAL sender of the connection that stands, 0: none stands
  char error[512];          // why none stands; empty: not known, or one does
};

static_assert(std::is_trivially_copyable_v<SynchronousShared> &&
              std::is_standard_layout_v<SynchronousShared>);

}  // namespace pitr::pg
