// The background workers of the library: registration, and the frame that every worker main shares.
#pragma once

#include "pg/postgres_headers.h"

namespace pitr::pg {

// From _PG_init in the postmaster. RAISES.
void RegisterWorkers();

// From the launcher: starts the archive worker of that number dynamically, for a pitr.archive_workers that was raised since
// the server started. False when there is no free slot. THROWS: ErrorInFlight.
bool StartArchiveWorker(int number);

// First in every worker main: signal handlers of the server's own, then unblocked. RAISES.
void BeginWorker();
// The single wait point of a worker: until its latch is set or the time is over; ends with the postmaster. Then reads the
// configuration anew when asked to (true = it did). RAISES.
bool WaitInWorker(long timeout_ms);
// SIGTERM has come: leave at once. The worker is to end with status 1, so that it starts again unless the server stops.
bool WorkerMustStop();

}  // namespace pitr::pg
