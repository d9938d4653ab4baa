// Which branch a data directory writes: `<data directory>/pitr/identity.json`. It travels with the directory; names and
// directories change hands in an exchange, the identity does not.
#pragma once

#include <string>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"

namespace pitr {

struct Identity {
  BranchId branch_id;
  std::string repository_id;
  RootIdentity root;
  friend bool operator==(const Identity&, const Identity&) = default;
};

std::string IdentityPath(const std::string& data_directory);
Json EncodeIdentity(const Identity& identity);
// kCorrupt names the member; kForeign for a newer format.
Result<Identity> DecodeIdentity(const Json& json);

// kNotFound when the directory has none.
Result<Identity> LoadIdentity(const std::string& data_directory);
Status StoreIdentity(const std::string& data_directory, const Identity& identity);  // DURABLE

// The identity of a running server's directory, checked against the server and the repository. A directory without one, on a
// repository without a root branch, becomes its root branch "main". DURABLE, and IDEMPOTENT by the directory: any number of
// processes at once, killed at any point, end with one branch and one identity.
// kForeign: the repository belongs to another server (both are named); it knows this server, but not this directory; the
// identity is of another repository, or of a branch that the repository does not have.
Result<Identity> EstablishIdentity(Repository* repo, const std::string& data_directory,
                                   const RootIdentity& server, Timestamp now);

}  // namespace pitr
