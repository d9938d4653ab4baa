#include "pg/interrupts.h"

#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/interrupt.h"
}

namespace pitr::pg {

bool ServerCancelToken::IsCancelled() const noexcept {
  return QueryCancelPending != 0 || ProcDiePending != 0 || ShutdownRequestPending != 0;
}

const CancelToken& ServerCancel() {
  static constinit ServerCancelToken token;
  return token;
}

}  // namespace pitr::pg
