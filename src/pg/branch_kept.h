// What a deleted branch needs to come back as what it was: all of its WAL in the repository, and its configuration, which stays beside where its
// directory was until it is gone for good.
#pragma once

#include <string>

#include "core/repo/branches.h"

namespace pitr::pg {

inline constexpr char kKeptSuffix[] = ".kept";
// Empty when its directory was never known.
std::string KeptDirectory(const Branch& branch);
// Before the directory of a deleted branch with a server of its own is removed; nothing runs on it. One that cannot be brought back any more needs
// nothing. IDEMPOTENT. THROWS ErrorInFlight.
Status KeepForUndelete(Repository* repo, const Branch& branch);
// Whether a name in the branch directory is a kept one that nobody wants any more.
bool IsKeptInVain(const BranchSet& branches, const std::string& name, Timestamp now);

}  // namespace pitr::pg
