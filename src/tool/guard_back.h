// The guard's way back (internals 9): the postmaster that made an exchange was killed, so its callback could not, and the new
// directory does not start.
#pragma once

#include <string>

#include "core/base/result.h"

namespace pitr::tool {

// Exchanges the live directory and the staged one once more, as the postmaster's callback would have done.
// OK without doing anything when the intent is not this one, not armed any more, or its exchange never happened. kInUse when a
// server holds the directory. Both directories carry our postmaster.pid meanwhile, so that no server starts on either. DURABLE.
Status ExchangeBack(const std::string& live_directory, const std::string& nonce);

}  // namespace pitr::tool
