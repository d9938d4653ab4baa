// The worker's side of an exchange: from a finished, durable, cleanly shut down replacement to the crash on purpose.
#pragma once

#include "core/repo/intent.h"
#include "pg/operation_kinds.h"

namespace pitr::pg {

// Writes the intent into both directories, lets the caller's row out, cuts sessions, arms and ends the process: returns only when
// something went wrong before that; then the intent is gone, sessions are let in again and the server is as it was.
Status PerformExchange(const OperationContext& context, Intent intent, const Json& answer);

// While the replacement is built: what is dirty by then is written beside that work, and the checkpoint before the cut finds little.
void BeginCheckpoint();

// How far a second restore in a row is from the first: kNotReady while an earlier exchange is not finished.
Status CheckNoExchangePending();

}  // namespace pitr::pg
