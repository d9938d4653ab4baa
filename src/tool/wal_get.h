// One file of WAL for a recovering server (restore_command).
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/repo/repository.h"
#include "tool/wal_source.h"

namespace pitr::tool {

// Puts the file `name` at `path`, complete or not at all. False = proven absent: the store answered so for every line that could
// hold it, and the repository is still there. A Status = not found out, whatever its code. History files of timelines in use
// elsewhere are there, those of unused numbers are not, without a request (internals 14). DURABLE when the source says so.
Result<bool> DeliverWal(const WalSource& source, const std::string& name, const std::string& path);

}  // namespace pitr::tool
