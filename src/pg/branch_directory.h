// Whose branch directory it is: servers that share one by mistake would take each other's replacements for leftovers.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/repo/branches.h"

namespace pitr::pg {

// Makes the directory if need be and marks it as this server's (file "server", its system identifier). kForeign when it is
// another server's. DURABLE, IDEMPOTENT.
Status ClaimBranchDirectory(const std::string& directory);
// The mark is there and names this server. Nothing in a directory that is not ours may be removed.
bool IsOurBranchDirectory(const std::string& directory);
// Branch::directory_place of what this server puts into its branch directory; empty when that cannot be looked at.
std::string OwnDirectoryPlace();
// This server put the directory of that branch where it is. Another server's, be it that of another machine with the same path, or one that
// `pitr restore` made, is somebody else's to remove or to miss.
bool IsOurDirectory(const Branch& branch);

}  // namespace pitr::pg
