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

// An exchange moves the data directory: what lies in it goes along, and its own WAL would be archived with it.
Status CheckOutsideDataDirectory(const std::string& address) {
  const std::string data = RealPath(DataDirectory());
  const std::string folder = RealPath(address);
  if (!data.empty() && !folder.empty() && (folder + "/").starts_with(data + "/")) {
    return Status(Code::kInvalidArgument,
                  "pitr.repository \"" + address + "\" lies inside the data directory")
        .WithHint("Use a folder outside, best on another disk.");
  }
  return Status::Ok();
}

}  // namespace

Result<Identity> EnsureIdentity(Repository* repo) {
  return EstablishIdentity(repo, DataDirectory(), ServerIdentity(), SystemClock().Now());
}

Result<std::unique_ptr<Repository>> OpenConfiguredRepository() {
  const std::string address = CurrentSettings().repository;
  if (address.empty()) {
    return Status(Code::kNotReady, "pitr.repository is not set")
        .WithHint("Set pitr.repository to a folder that the server can write, and reload.");
  }
  PITR_RETURN_IF_ERROR(CheckOutsideDataDirectory(address));
  const Result<Identity> identity = LoadIdentity(DataDirectory());
  const bool create = !identity.ok() && identity.status().code() == Code::kNotFound;
  Result<std::unique_ptr<Repository>> repository = Repository::OpenAddress(address, create);
  if (create && !repository.ok() && repository.status().code() == Code::kForeign) {
    // Another process of this server may have made it between our look for repository.json and our look for an empty folder.
    Result<std::unique_ptr<Repository>> again = Repository::OpenAddress(address, false);
    repository = again.ok() ? std::move(again) : std::move(repository);
  }
  if (repository.ok()) {
    (*repository)->set_cache_directory(CacheDirectory());
  }
  return repository;
}

}  // namespace pitr::pg
