// The in-place exchange (DESIGN.md 6, internals 8-20): an armed crash cycle of the postmaster swaps two data directories.
#pragma once

#include <string>

#include "core/base/result.h"
#include "pg/exchange_state.h"

namespace pitr::pg {

// From _PG_init in the postmaster: installs the ClientAuthentication hook and notes an unconfirmed intent.
void ExchangeInit();
// From the shared memory start-up hook: in the postmaster registers the callback (the list is cleared at each cycle).
void ExchangeShmemStartup();
// An exchange has happened, and sessions are refused until the launcher has confirmed it.
bool IsExchangeUnconfirmed() noexcept;

}  // namespace pitr::pg
