// The launcher's part in looks: those that nobody uses go after pitr.time_travel_idle_timeout, and what is left of those that ended.
#pragma once

#include "core/base/status.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// Each second. THROWS ErrorInFlight.
Status KeepLooks(Repository* repo);

}  // namespace pitr::pg
