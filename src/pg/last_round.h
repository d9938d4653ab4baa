// The archiver's last round. The server stops: the shutdown checkpoint is done, every other process is gone, the postmaster waits
// for the archiver alone. What was written last, that checkpoint, is brought into the repository here; and whatever the
// repository does, the server's stop does not wait for it long.
#pragma once

#include "core/base/cancel.h"
#include "pg/archive_ship.h"

namespace pitr::pg {

// The launcher lives.
bool HasLauncher() noexcept;
// The control file says that the server was shut down (or, a standby, while in recovery).
bool IsServerShutDown();

// For all that the archiver does: the server's wish, or that its stop has waited long enough.
const CancelToken& ArchiverCancel();

// From the archive module's shutdown callback, which also runs when the archiver ends for another reason: nothing then. After
// a clean shutdown everything up to its checkpoint is in the repository. WAL that still waits could not be archived just now and
// would leave a hole before the rest, so nothing then either. Afterwards the lease of the branch is given back. Bounded in time. Never raises, never throws.
void ShipLastWal(Shipper* shipper) noexcept;

}  // namespace pitr::pg
