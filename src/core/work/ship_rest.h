// Brings the last WAL of a data directory that no server runs on into the repository: the segments that were still waiting and
// the valid part of the open one. The directory is as a crash left it (an exchange cuts the old directory so).
#pragma once

#include <string>

#include "core/repo/wal_archive.h"

namespace pitr {

// IDEMPOTENT. Returns the end of the last record. `options.branch` is the line that the directory writes. DURABLE.
Result<Lsn> ShipRest(Repository* repo, const ShipOptions& options,
                     const std::string& data_directory);

}  // namespace pitr
