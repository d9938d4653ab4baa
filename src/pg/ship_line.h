// The last WAL of a directory that no server runs on, on behalf of the line that it writes.
#pragma once

#include <string>

#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/wal_name.h"

namespace pitr::pg {

// All of it is in the repository then, and the lease of the line is given back: whoever goes on with it has it at once. Told in the log, and nothing
// done, when another server has taken it over. IDEMPOTENT. THROWS ErrorInFlight.
Status ShipLine(Repository* repo, const RootIdentity& root, const BranchId& line,
                const std::string& directory);

}  // namespace pitr::pg
