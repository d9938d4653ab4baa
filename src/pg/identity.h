// The identity of this server's data directory (core/repo/identity.h), asked for by processes of the server.
#pragma once

#include <memory>

#include "core/base/result.h"
#include "core/repo/identity.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// EstablishIdentity for this server. THROWS: ErrorInFlight.
Result<Identity> EnsureIdentity(Repository* repo);

// The repository of the present settings. It is created when the folder is empty and this data directory has no identity yet: a
// directory that belongs to a repository never makes a second one, for instance in the mount point of a disk that is not there.
// kNotReady with a hint when pitr.repository is empty; kInvalidArgument when the folder lies inside the data directory.
Result<std::unique_ptr<Repository>> OpenConfiguredRepository();

}  // namespace pitr::pg
