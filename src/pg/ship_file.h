// Asking another server of this machine to bring its newest WAL into the repository: by a file in its data directory, which its
// launcher looks for each second, since no session of ours may be let in there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/status.h"

namespace pitr::pg {

// Until everything that was flushed there before the call is in the repository. kIo with its reason, kCancelled. THROWS ErrorInFlight.
Status AskToShip(const std::string& directory, std::int64_t patience_ms,
                 const std::function<bool()>& cancelled);
// The launcher's part, for this server's own directory. THROWS ErrorInFlight.
Status AnswerShipFile();

}  // namespace pitr::pg
