// Room on the file system of the branch directory: some of it is the host's.
#pragma once

#include <string>

#include "core/base/status.h"

namespace pitr::pg {

// kDiskFull when the file system is pitr.disk_stop_percent full, or less is free than a fiftieth, 64 MB at least and 1 GB at most. `again`: some
// more is wanted, since it was so. What only the superuser of the machine may use counts as used.
Status CheckBranchRoom(const std::string& directory, bool again = false);

// It is that full already: whoever waits for others to make room waits no longer.
bool IsAtTheLast(const std::string& directory);

// kDiskFull, naming it, when the file system of the data directory or of the branch directory is pitr.disk_warn_percent full.
Status CheckDisks();

}  // namespace pitr::pg
