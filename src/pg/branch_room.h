// Room on the file system of the branch directory: some of it is the host's.
#pragma once

#include <string>

#include "core/base/status.h"

namespace pitr::pg {

// kDiskFull when less is free than a fiftieth, 64 MB at least and 1 GB at most; `again`: half as much more is wanted, since it was so.
Status CheckBranchRoom(const std::string& directory, bool again = false);

}  // namespace pitr::pg
