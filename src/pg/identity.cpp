#include "pg/identity.h"

#include <climits>
#include <cstdlib>

#include "core/base/clock.h"
#include "core/store/address_list.h"
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
Status CheckKeyPlace(const std::string& key_file, const std::string& place, const char* name) {
  if (!LiesInside(key_file, place)) {
    return Status::Ok();
  }
  return Status(Code::kInvalidArgument,
                "pitr.encryption_key_file \"" + key_file + "\" lies inside " + name)
      .WithHint("Keep the key in another place than what it opens.");
}

Status CheckPlaces(const RepositoryAccess& access) {
  PITR_ASSIGN_OR_RETURN(const std::vector<StoreAddress> entries,
                        ParseStoreAddresses(access.address));
  PITR_RETURN_IF_ERROR(CheckKeyPlace(access.keys.file, DataDirectory(), "the data directory"));
  for (const StoreAddress& entry : entries) {
    if (LiesInside(entry.address, DataDirectory())) {
      return Status(Code::kInvalidArgument,
                    "pitr.repository \"" + entry.address + "\" lies inside the data directory")
          .WithHint("Use a folder outside, best on another disk.");
    }
    PITR_RETURN_IF_ERROR(CheckKeyPlace(access.keys.file, entry.address, "the repository"));
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
    if (again.ok()) repository = std::move(again);
  }
  if (repository.ok()) {
    (*repository)->set_cache_directory(CacheDirectory());
  }
  return repository;
}

}  // namespace pitr::pg
