// Where dumps are: in this server's repository, and in others that pitr_create_dump(repository => …) named, which the catalogue remembers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/repo/dumps.h"
#include "core/repo/repository.h"
#include "pg/session.h"

namespace pitr::pg {

// Of an address as the caller wrote it; empty: pitr.repository. The keys are the same for all.
RepositoryAccess AccessOfDumps(const std::string& address);
// Empty when that is pitr.repository. kInvalidArgument for what is no address of one repository; kPermission for who may not write files of the server.
// THROWS ErrorInFlight.
Result<std::string> CheckDumpAddress(const std::string& address);

struct DumpRepository {
  std::string address;  // as above
  std::unique_ptr<Repository> repo;
};
// All others that can be opened; of the rest a WARNING says that their dumps are not there.
Result<std::vector<DumpRepository>> OtherDumpRepositories(Repository* own);

struct FoundDump {
  DumpRepository other;        // without a repository: it is in the session's
  Repository* repo = nullptr;  // where it is
  Result<DumpManifest> head = Status(Code::kNotFound, "");
};
// kNotFound only when all repositories could be looked at.
Result<FoundDump> FindDump(const Session& session, const DumpId& id);

}  // namespace pitr::pg
