// What stands between this server and a restore, for pitr_status and pitr_metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/clock.h"

namespace pitr::pg {

// WAL files that wait to be archived.
struct Backlog {
  std::int64_t files = 0, bytes = 0;
};
Backlog CountBacklog();

struct Health {
  std::string archive_state = "ok";  // off, failing, behind
  std::string problem, hint;         // the worst one; empty: none
  bool can_restore = false;
  std::optional<Timestamp> window_start, window_end, last_snapshot, last_verified, last_drill;
  Backlog backlog;
  // How much time's work would be gone if this machine were gone now; nullopt: everything, or not known.
  std::optional<std::int64_t> loss_micros;
  Timestamp as_of;  // earlier than now when the repository is away: what was seen last
};

// Waits for the network a second, once a minute five. REQUIRES: RequireShared(). THROWS ErrorInFlight.
Health ReadHealth();

}  // namespace pitr::pg
