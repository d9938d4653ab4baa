// The launcher's part in the server of a branch: when nobody was connected for pitr.branch_idle_timeout, the server asks to be stopped, and `pitr
// compute` holds its port from then on.
//
// Sessions count, also of standbys and subscribers, and so do workers of subscriptions here, operations, and loading what a restore has
// left out. What belongs to archiving does not.
#pragma once

#include <cstdint>

#include "core/base/result.h"

namespace pitr::pg {

class IdleWatch {
 public:
  // REQUIRES: IsCompute(). THROWS ErrorInFlight.
  Status Tick();

 private:
  Result<bool> TryStop();

  std::int64_t active_at_ms_ = 0;
};

}  // namespace pitr::pg
