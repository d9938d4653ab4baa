#include "pg/identity.h"

#include <climits>
#include <cstdlib>

#include "core/base/clock.h"
#include "pg/guc.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// Symlinks resolved; empty when the path does not exist.
std::string RealPath(const std::string& path) {
  char buffer[PATH_MAX];
  return ::realpath(path.c_str(), buffer) != nullptr ? std::string(buffer) : std::string();
}

bool LiesInside(const std::string& path, const std::string& directory) {
  const std::string inner = RealPath(path), outer = RealPath(directory);
  return !inner.empty() && !outer.empty() && (inner + "/").starts_with(outer + "/");
}

// An exchange moves the data directory: what lies in it goes along. The repository's own WAL would be archived with it; and a
// key would lie in each snapshot, that nobody reads without it.
Status CheckPlaces(const RepositoryAccess& access) {
  if (LiesInside(access.address, DataDirectory())) {
    return Status(Code::kInvalidArgument,
                  "pitr.repository \"" + access.address + "\" lies inside the data directory")
        .WithHint("Use a folder outside, best on another disk.");
  }
  for (const auto& [place, name] : {std::pair(DataDirectory(), "the data directory"),
                                    std::pair(access.address, "the repository")}) {
    if (LiesInside(access.keys.file, place)) {
      return Status(Code::kInvalidArgument,
                    "pitr.encryption_key_file \"" + access.keys.file + "\" lies inside " + name)
          .WithHint("Keep the key in another place than what it opens.");
    }
  }
  return Status::Ok();
}

}  // namespace

Result<Identity> EnsureIdentity(Repository* repo) {
  return EstablishIdentity(repo, DataDirectory(), ServerIdentity(), SystemClock().Now());
}

Result<std::unique_ptr<Repository>> OpenConfiguredRepository() {
  const RepositoryAccess access = CurrentSettings().repository;
  if (access.address.empty()) {
    return Status(Code::kNotReady, "pitr.repository is not set")
        .WithHint("Set pitr.repository to a folder that the server can write, and reload.");
  }
  PITR_RETURN_IF_ERROR(CheckPlaces(access));
  const Result<Identity> identity = LoadIdentity(DataDirectory());
  const bool create = !identity.ok() && identity.status().code() == Code::kNotFound;
  Result<std::unique_ptr<Repository>> repository = Repository::OpenAddress(access, create);
  if (create && !repository.ok() && repository.status().code() == Code::kForeign) {
    // Another process of this server may have made it between our look for repository.json and our look for an empty folder.
    Result<std::unique_ptr<Repository>> again = Repository::OpenAddress(access, false);
    repository = again.ok() ? std::move(again) : std::move(repository);
  }
  if (repository.ok()) {
    (*repository)->set_cache_directory(CacheDirectory());
  }
  return repository;
}

}  // namespace pitr::pg
