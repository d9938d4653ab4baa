// Taking away what a branch has on disk: its server, its directory, what lies beside that.
#pragma once

#include <string>
#include <vector>

#include "core/repo/branches.h"
#include "core/repo/identity.h"

namespace pitr::pg {

// Marks a branch as deleted, with everything below it if `cascade`: children first, as they were. `left`: what the catalogue says then. Errors: kInUse for
// `self` and the default branch, kProtected, kDependents with the children, kNotFound.
Result<std::vector<Branch>> DeleteInCatalogue(Repository* repo, const BranchId& id,
                                              const BranchId& self, bool cascade, Timestamp now,
                                              BranchSet* left);
// The launcher's: branches whose time is over are deleted. THROWS ErrorInFlight.
Status RemoveExpired(Repository* repo, const BranchSet& branches, const Identity& identity,
                     const std::string& live);

// Of a branch that is deleted in the catalogue, or was never finished: stops its server, and removes the directory if it is one of this
// server's. What undo branches of it have beside it stays. IDEMPOTENT. THROWS ErrorInFlight.
Status RemoveFromDisk(const BranchSet& branches, const Branch& branch, const std::string& live);
// The names that stand beside a data directory of the branch directory: "<directory>.pitr", with its undo directories, and ".log". Removed once neither
// the directory nor any that a branch of the catalogue owns is left. OK when it is too early for that.
Status RemoveWhatLiesBeside(const BranchSet& branches, const std::string& directory);
// The branch that a directory belongs to, by its identity, else by its name; nothing for one that nobody knows.
const Branch* OwnerOf(const BranchSet& branches, const std::string& directory);

}  // namespace pitr::pg
