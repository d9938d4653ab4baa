// Several repositories in shared memory: what the processes of the server know of each. Plain data only; everything is read and written
// under ReplicasLock(), and nobody does I/O while holding it.
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

// Those of pitr.repository (kMaxStoreAddresses), and as many that it named a moment ago.
inline constexpr int kReplicaSlots = 16;

enum class Wholeness : std::uint32_t {
  kUnknown = 0,
  kWhole,   // compared, and nothing was missed since
  kBehind,  // may lack something
};

struct ReplicaSlot {
  std::uint64_t place;  // hash of StoreAddress::place; 0: free
  Wholeness wholeness;
  bool was_member;              // it was whole once: when it is empty now, its disk is missing
  std::int32_t failures;        // in a row
  std::int64_t rests_until_ms;  // of the monotonic clock
  char last_error[512];         // while it fails
  char catch_up_error[512];     // of the last catch-up; empty: it worked
  char damage[256];             // an object of it that was found damaged, since the server started
  std::uint64_t missed;         // puts and removals that did not reach it since it was compared
  std::uint64_t missed_segments, missed_bytes;  // WAL of these; bytes of all
  std::uint64_t behind_segments,
      behind_bytes;  // what it lacked when it was compared, less what was copied since
};

struct ReplicasShared {
  ReplicaSlot slots[kReplicaSlots];
};

static_assert(std::is_trivially_copyable_v<ReplicasShared> &&
              std::is_standard_layout_v<ReplicasShared>);

}  // namespace pitr::pg
