// The shared word of an exchange: whether the next crash cycle of the postmaster is on purpose. Plain data only.
// Read by the postmaster when every other process is gone and shared memory may be scribbled over: hence magic
// and checksum (internals 8).
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

inline constexpr std::uint64_t kArmedMagic = 0x50495452'41524D44ULL;  // "PITRARMD"

struct ExchangeOrder {
  std::uint64_t magic;      // kArmedMagic when armed; written last
  char nonce[33];           // 32 hex digits, the same as in the intent on disk
  char staged[1024];        // absolute real path of the directory to bring in
  char live[1024];          // real path of the data directory
  char log_directory[256];  // relative directory of a running logging collector, or empty
  std::uint64_t checksum;   // over the fields above
};

struct ExchangeShared {
  // Refuse new sessions (ClientAuthentication hook). Set by the operation worker before it scans for sessions;
  // also set while an exchange is not yet confirmed after it happened.
  bool refuse_sessions;
  // The same of a branch's server that is about to stop since nobody is connected.
  bool refuse_for_idleness;
  // When a session was let in last, monotonic milliseconds; 0: none since the server's start.
  std::int64_t last_session_ms;
  // Set and read by the launcher: the intent on disk says confirmed, or there is none.
  bool confirmed;
  ExchangeOrder order;
};

static_assert(std::is_trivially_copyable_v<ExchangeShared> &&
              std::is_standard_layout_v<ExchangeShared>);

}  // namespace pitr::pg
