// The lease of this server's branch in shared memory: what was found out last, so that whoever publishes need not ask. Plain data only.
// Under ArchiveLock(), except that IsLeaseGood reads without; nobody does I/O, raises or throws while holding it. Everything is known again
// from the repository and the data directory: all zero means only that nobody has looked yet.
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

enum class LeaseStand : std::uint32_t {
  kUnknown = 0,
  kHeld,     // by this server
  kWaiting,  // another one has it, or may have it
  kStandby,  // in recovery: what is shipped is the primary's
};

struct LeaseShared {
  std::uint64_t destination;  // which repository and branch all of this is about
  LeaseStand stand;
  std::uint32_t is_refused;  // of kWaiting: only an explicit take-over ends it

  // Of kHeld. Monotonic milliseconds: when the call began that put the number, and for how long from then on it holds.
  std::uint64_t number;
  char nonce[64];
  std::int64_t since;  // microseconds since the Unix epoch
  std::int64_t renewed_ms, timeout_ms;

  // The newest lease that a process has seen that was not ours, since when it has not moved, and the last look. A time in which nobody could
  // look, because the store was away, says nothing: its writer could not renew it either.
  std::uint64_t watched_number;
  char watched_nonce[64];
  std::int64_t watched_since_ms, watched_last_ms;

  // Of kWaiting: not before is the repository asked again; what everybody is answered until then; when the log was told.
  std::int64_t look_at_ms, told_ms;
  char message[512], detail[1024], hint[512];
};

static_assert(std::is_trivially_copyable_v<LeaseShared> && std::is_standard_layout_v<LeaseShared>);

}  // namespace pitr::pg
