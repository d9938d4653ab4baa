// Whose branch directory it is: servers that share one by mistake would take each other's replacements for leftovers.
#pragma once

#include <string>

#include "core/base/result.h"

namespace pitr::pg {

// Makes the directory if need be and marks it as this server's (file "server", its system identifier). kForeign when it is
// another server's. DURABLE, IDEMPOTENT.
Status ClaimBranchDirectory(const std::string& directory);
// The mark is there and names this server. Nothing in a directory that is not ours may be removed.
bool IsOurBranchDirectory(const std::string& directory);

}  // namespace pitr::pg
