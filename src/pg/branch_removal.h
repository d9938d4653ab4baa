// Taking away what a branch has on disk: its server, its directory, what lies beside that.
#pragma once

#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/repo/branches.h"
#include "core/repo/identity.h"

namespace pitr::pg {

// Marks a branch as deleted, with everything below it if `cascade`: children first, as they were. `left`: what the catalogue says then. `force`: they cannot
// be brought back. Errors: kInUse for `self` and the default branch, kNotReady for the root that the first server writes, kProtected, kDependents with the children, kNotFound.
Result<std::vector<Branch>> DeleteInCatalogue(Repository* repo, const BranchId& id,
                                              const BranchId& self, bool cascade, bool force,
                                              Timestamp now, BranchSet* left);
// The launcher's: branches whose time is over are deleted. THROWS ErrorInFlight.
Status RemoveExpired(Repository* repo, const BranchSet& branches, const Identity& identity,
                     const std::string& live);

// Whoever removes the directory of a branch holds it until that is done, since its last WAL is shipped before: a session and a sweep may be at it at the
// same time. kLockTimeout, kNotFound when it is gone by now. THROWS ErrorInFlight.
Result<File> LockForRemoval(const std::string& directory, std::int64_t patience_ms);
// Of a branch that is deleted in the catalogue: stops its server, and removes the directory if it is one of this server's. What undo branches of it
// have beside it stays, and what it needs to be brought back. IDEMPOTENT. THROWS ErrorInFlight.
Status RemoveFromDisk(Repository* repo, const BranchSet& branches, const Branch& branch,
                      const std::string& live);
// The names that stand beside a data directory of the branch directory: "<directory>.pitr", with its undo directories, and ".log". Removed once neither
// the directory nor any that a branch of the catalogue owns is left. OK when it is too early for that.
Status RemoveWhatLiesBeside(const BranchSet& branches, const std::string& directory);
// The branch that a directory belongs to, by its identity, else by its name; nothing for one that nobody knows.
const Branch* OwnerOf(const BranchSet& branches, const std::string& directory);

}  // namespace pitr::pg
