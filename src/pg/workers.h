// The background workers of the library: registration, and the frame that every worker main shares.
#pragma once

#include "pg/postgres_headers.h"

namespace pitr::pg {

// From _PG_init in the postmaster. RAISES.
void RegisterWorkers();
// How many a server needs, those included that it starts when there is something to do; fetch workers come on top.
int WantedWorkers();

// Archive workers that are registered for good: pitr.archive_workers when the server started.
int RegisteredArchiveWorkers();
// From the launcher: starts the archive worker of that number dynamically, for a pitr.archive_workers that was raised since
// the server started. False when there is no free slot. THROWS: ErrorInFlight.
bool StartArchiveWorker(int number);
// As StartArchiveWorker: the confirmer, for a pitr.synchronous that was set since the server started.
bool StartConfirmer();
// THROWS: ErrorInFlight.
bool IsArchiveWorkerRunning(int number);
// From an archive worker: false when a living process has the number. It is given back at exit. THROWS: ErrorInFlight.
bool TakeArchiveWorkerSlot(int number);
// Sets their latches: files may wait. THROWS: ErrorInFlight.
void WakeArchiveWorkers();
// archive_mode is on and archive_library is this library.
bool IsArchivingHere();

// First in every worker main: signal handlers of the server's own, then unblocked. RAISES.
void BeginWorker();
// The single wait point of a worker: until its latch is set or the time is over; ends with the postmaster. Then reads the
// configuration anew when asked to (true = it did). RAISES.
bool WaitInWorker(long timeout_ms);
// Also until something can be read from a socket, or written to it.
struct WorkerSocket {
  int descriptor = -1;  // none
  bool for_writing = false;
};
bool WaitInWorker(long timeout_ms, WorkerSocket socket);
// At the beginning of a worker main: sessions are refused until the launcher has confirmed an exchange. It has the processors and the
// disk for itself until then. THROWS: ErrorInFlight.
void WaitForConfirmation();
// SIGTERM has come: leave at once.
bool WorkerMustStop();
// Ends the process with status 1: after a SIGTERM that was not the server's stop the postmaster starts it again. RAISES.
[[noreturn]] void EndWorker();
// The repository did not answer: this process's last request, or that of a worker when it ended. For the end of the archiver, which
// outlives the workers. Never raises.
bool IsStoreStalled() noexcept;

}  // namespace pitr::pg
