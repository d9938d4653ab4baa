// The launcher's part in logical dumps.
#pragma once

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// In all repositories that have dumps. Removes dumps whose time is over (core/plan/dump_retention.h), what is left of those that began before `before` and came to nothing, and what is known of
// those that failed a week ago. IDEMPOTENT, safe beside other servers.
Status KeepDumps(Repository* repo, Timestamp before, Timestamp now);

// A dump that is being restored here may not go.
bool IsRestoringDump();

}  // namespace pitr::pg
