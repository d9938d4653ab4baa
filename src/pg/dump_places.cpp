#include "pg/dump_places.h"

#include "core/repo/dump_attempts.h"
#include "core/store/address_list.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/guc_s3.h"
#include "pg/log.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
}

namespace pitr::pg {

namespace {

Status CheckMayWriteFiles() {
  const bool may = Call(
      [] { return superuser() || has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES); });
  return may ? Status::Ok()
             : Status(Code::kPermission,
                      "a dump in another repository writes files of the server where you say")
                   .WithHint("It is for superusers and members of pg_write_server_files.");
}

}  // namespace

RepositoryAccess AccessOfDumps(const std::string& address) {
  RepositoryAccess access = CurrentSettings().repository;
  if (!address.empty()) access.address = WithS3Settings(address);
  return access;
}

Result<std::string> CheckDumpAddress(const std::string& address) {
  PITR_RETURN_IF_ERROR(CheckMayWriteFiles());
  PITR_ASSIGN_OR_RETURN(const std::vector<StoreAddress> wanted, ParseStoreAddresses(address));
  if (wanted.size() != 1) {
    return Status(Code::kInvalidArgument, "a dump is brought to one repository");
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<StoreAddress> own,
                        ParseStoreAddresses(CurrentSettings().repository.address));
  for (const StoreAddress& one : own) {
    if (one.place == wanted[0].place) return std::string();
  }
  return address;
}

Result<std::vector<DumpRepository>> OtherDumpRepositories(Repository* own) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> addresses, DumpRepositories(own));
  std::vector<DumpRepository> others;
  for (const std::string& address : addresses) {
    Result<std::unique_ptr<Repository>> repo =
        Repository::OpenAddress(AccessOfDumps(address), false);
    if (repo.ok()) {
      others.push_back({address, *std::move(repo)});
    } else {
      LogStatus(WARNING, "dumps in another repository cannot be seen", repo.status());
    }
  }
  return others;
}

Result<FoundDump> FindDump(const Session& session, const DumpId& id) {
  FoundDump found;
  found.repo = session.repo.get();
  found.head = ReadDumpHead(found.repo, id);
  if (found.head.status().code() != Code::kNotFound) return found;
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> addresses,
                        DumpRepositories(session.repo.get()));
  Status last = found.head.status();
  for (const std::string& address : addresses) {
    Result<std::unique_ptr<Repository>> repo =
        Repository::OpenAddress(AccessOfDumps(address), false);
    Result<DumpManifest> head =
        repo.ok() ? ReadDumpHead(repo->get(), id) : Result<DumpManifest>(repo.status());
    if (head.status().code() == Code::kNotFound) continue;
    if (repo.ok()) {
      found.head = std::move(head);
      found.repo = repo->get();
      found.other = {address, *std::move(repo)};
      return found;
    }
    last = repo.status();
  }
  found.head = last;
  return found;
}

}  // namespace pitr::pg
