// Completion of the directory that this server runs on: an operation of kind "complete", beside all others, started by the launcher
// whenever something is missing. It needs packs, not the catalogue, and runs on while the catalogue is away.
#pragma once

#include "core/base/json_fwd.h"
#include "core/repo/identity.h"
#include "core/repo/repository.h"
#include "pg/operation.h"

namespace pitr::pg {

inline constexpr char kCompletion[] = "complete";

// The worker. Ends when nothing is missing: the directory is a plain one then. THROWS ErrorInFlight.
Result<Json> RunCompletion(RunningOperation* operation);
// The launcher, each second.
Status KeepCompleting(Repository* repo, const Identity& identity);

}  // namespace pitr::pg
