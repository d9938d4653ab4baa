// Ending sessions for an exchange (internals 20): refuse new ones, end the others the polite way, in bounded time.
#pragma once

#include <cstdint>

namespace pitr::pg {

// New clients and walsenders get 57P03 from here on / are let in again.
void RefuseSessions(bool refuse);
// The same for a branch's server that is about to stop; told to clients as if it were starting, which it does when they come again.
void RefuseForIdleness(bool refuse);
// Of the session that was let in last; 0: none.
std::int64_t LastSessionMs();
// Somebody is connected, a standby or subscriber perhaps, but not our own confirmer; or a subscription is at work here.
bool HasSessions();
// SIGTERM (57P01) to every client backend and walsender; returns when they are gone or the time is over. The number that is
// left: the crash cycle cuts those. REQUIRES: RefuseSessions(true). THROWS ErrorInFlight.
int CutSessions(std::int64_t timeout_ms);
// The session has nothing to do: its answer has gone out. True as well when it is gone.
bool IsSessionIdle(std::int32_t pid);

}  // namespace pitr::pg
