// Ending sessions for an exchange (internals 20): refuse new ones, end the others the polite way, in bounded time.
#pragma once

#include <cstdint>

namespace pitr::pg {

// New clients and walsenders get 57P03 from here on / are let in again.
void RefuseSessions(bool refuse);
// SIGTERM (57P01) to every client backend and walsender; returns when they are gone or the time is over. The number that is
// left: the crash cycle cuts those. REQUIRES: RefuseSessions(true). THROWS ErrorInFlight.
int CutSessions(std::int64_t timeout_ms);
// The session has nothing to do: its answer has gone out. True as well when it is gone.
bool IsSessionIdle(std::int32_t pid);

}  // namespace pitr::pg
