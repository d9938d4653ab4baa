// The end of a server's life, as the archiver sees it: the shutdown checkpoint is done, and everybody waits for this process alone.
#pragma once

#include "core/base/cancel.h"

namespace pitr::pg {

// Only then is the control file so. Never raises.
bool IsShutDown() noexcept;

// As ServerCancel(), and when the last round has lasted kLastRoundMs: what a store does not take by then waits for the next start.
const CancelToken& ArchiverCancel();

}  // namespace pitr::pg
