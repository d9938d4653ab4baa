#include "pg/branch_kept.h"

#include <cstdio>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/live_files.h"
#include "pg/branch_source.h"
#include "pg/log.h"
#include "pg/ship_line.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Status KeepConfiguration(const Branch& branch, const std::string& kept) {
  if (PathExists(kept)) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const Json live, LiveIn(*branch.compute, *branch.directory));
  const std::string half =
      kept.substr(0, kept.size() - (sizeof kKeptSuffix - 1)) + ".half" + kKeptSuffix;
  PITR_RETURN_IF_ERROR(RemoveTree(half));
  PITR_RETURN_IF_ERROR(MakeDirectories(half));
  LiveFilesOptions options;
  options.live_directory = *branch.directory;
  options.directory = half;
  for (const char* member : {"config_file", "hba_file", "ident_file"})
    options.named.push_back(live.value(member, std::string()));
  for (const Json& name : live["copy"])
    options.named.push_back(name.get<std::string>());
  for (const Json& name : live["exclude"])
    options.excluded.push_back(name.get<std::string>());
  PITR_RETURN_IF_ERROR(CopyLiveFiles(options));
  if (::rename(half.c_str(), kept.c_str()) != 0) {
    return Status::FromErrno(errno, "rename \"" + half + "\"");
  }
  return SyncDirectory(DirectoryName(kept));
}

}  // namespace

std::string KeptDirectory(const Branch& branch) {
  return branch.directory ? JoinPath(DirectoryName(*branch.directory), branch.id) + kKeptSuffix
                          : std::string();
}

Status KeepForUndelete(Repository* repo, const Branch& branch) {
  if (!branch.deleted_at || !branch.compute || !branch.directory ||
      GoneAt(branch) <= SystemClock().Now() || !PathExists(*branch.directory)) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(KeepConfiguration(branch, KeptDirectory(branch)));
  return ShipLine(repo, branch.root, branch.id, *branch.directory);
}

bool IsKeptInVain(const BranchSet& branches, const std::string& name, Timestamp now) {
  const Branch* branch = branches.FindId(name.substr(0, name.find('.')));
  if (branch == nullptr) return true;
  return branch->deleted_at ? GoneAt(*branch) <= now : branch->state != "creating";
}

}  // namespace pitr::pg
