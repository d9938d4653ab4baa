// Operations in shared memory: one slot a running or just finished operation. Plain data only.
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

inline constexpr int kOperationSlots = 8;
inline constexpr char kLook[] = "look";  // a kind that runs beside all others
// Kinds that run beside all others but each other.
inline constexpr char kDump[] = "dump", kRestoreDump[] = "restore_dump";

enum class OperationState : std::uint32_t {
  kFree = 0,
  kQueued,
  kRunning,
  kExchanging,
  kDone,
  kFailed,
  kCancelled
};

struct OperationSlot {
  // All fields: written under Shared::operations_lock. The caller fills the request and sets kQueued; from
  // kRunning on the worker writes; the caller (or, when nobody waits, the worker's end) frees the slot.
  OperationState state;
  char id[64];
  char kind
      [16];  // snapshot, restore, build, finalize, undo, verify, branch, complete, and of another branch: restore_other, ...
  char branch[260 * 4];  // name, for messages
  char branch_id[64];
  char phase[32];
  char role_name[64];
  std::int32_t worker_pid;  // 0 before it starts and after it ended
  std::int32_t caller_pid;  // 0: nobody waits (wait => false, or the session is gone)
  bool cancel;              // asked for; honoured until sessions are cut
  bool
      caller_committed;  // the statement that asked has committed: its row is on the way (rules.md 3)
  std::int64_t started_at, finished_at;  // microseconds since the Unix epoch
  std::uint64_t bytes_done, bytes_total, replay_lsn, target_lsn;
  char sqlstate[6];
  char error[1024], detail[2048], hint[512];
  std::uint32_t request_size, result_size;
  char request[24 * 1024];  // JSON
  char result[16 * 1024];   // JSON
};

struct OperationsShared {
  std::int32_t launcher_pid;
  std::uint64_t launcher_latch;  // Latch* of the launcher, 0 = none; set by SetLatch from anywhere
  // Ship requests: sessions raise `ship_wanted` to the flush LSN that they need and wake the tail shipper (the launcher when
  // there is none).
  std::uint64_t ship_wanted, ship_done;  // LSNs
  char ship_error[512];                  // of the last attempt; empty when it worked
  std::int64_t ship_tried_at;
  std::uint32_t computes_changed;  // counts what concerns the servers that the launcher keeps
  OperationSlot slots[kOperationSlots];
};

static_assert(std::is_trivially_copyable_v<OperationsShared> &&
              std::is_standard_layout_v<OperationsShared>);

}  // namespace pitr::pg
