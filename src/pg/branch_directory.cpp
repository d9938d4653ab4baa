#include "pg/branch_directory.h"

#include <fcntl.h>

#include "core/base/file.h"
#include "core/base/process.h"
#include "core/demand/folder.h"
#include "core/repo/identity.h"
#include "core/repo/intent.h"
#include "pg/compute.h"
#include "pg/server_facts.h"

namespace pitr::pg {

namespace {

// Renewed never: a server keeps its system identifier over every restore.
std::string MarkText() { return std::to_string(ServerIdentity().system_identifier) + "\n"; }

Result<std::string> ReadMark(const std::string& directory) {
  return ReadTextFile(JoinPath(directory, "server"), 256);
}

// The one that all servers of branches share with their host; one without data may have another system identifier than that.
bool IsOfHost(const std::string& directory) {
  if (!IsCompute()) return false;
  const Result<std::string> shared = ComputesDirectory();
  return shared.ok() && *shared == directory;
}

}  // namespace

Status ClaimBranchDirectory(const std::string& directory) {
  PITR_RETURN_IF_ERROR(MakeDirectories(directory));
  Result<std::string> mark = ReadMark(directory);
  if (mark.ok() && IsOfHost(directory)) return Status::Ok();
  if (!mark.ok() && mark.status().code() == Code::kNotFound) {
    return WriteFileDurably(JoinPath(directory, "server"), AsBytes(MarkText()));
  }
  PITR_RETURN_IF_ERROR(mark.status());
  if (*mark == MarkText()) return Status::Ok();
  return Status(Code::kForeign, "branch directory \"" + directory + "\" belongs to another server")
      .WithDetail("It is marked with system identifier " + mark->substr(0, mark->find('\n')) +
                  ", this server has " + std::to_string(ServerIdentity().system_identifier) + ".")
      .WithHint(
          "Give each server a pitr.branch_directory of its own. If the other one is gone, remove "
          "what it left there.");
}

bool IsOurBranchDirectory(const std::string& directory) {
  Result<std::string> mark = ReadMark(directory);
  return mark.ok() && (*mark == MarkText() || IsOfHost(directory));
}

std::string OwnDirectoryPlace() {
  const Result<std::string> data = RealDataDirectory();
  const Result<std::string> branches = BranchDirectory();
  demand::FileIdentity folder;
  if (!data.ok() || !branches.ok() ||
      demand::LookAtFile(AT_FDCWD, (*branches + "/.").c_str(), &folder) != 0) {
    return {};
  }
  return HostName() + " " + std::to_string(folder.inode) + " " +
         std::to_string(folder.born_seconds) + "." + std::to_string(folder.born_nanos) + " " +
         *data;
}

namespace {

// Between an exchange and the move of names the directory is the branch's still, whatever line it has become.
bool IsDirectoryOfServer(const Branch& branch) {
  const Result<Identity> identity = LoadIdentity(*branch.directory);
  if (!identity.ok() || identity->branch_id == branch.id) return identity.ok();
  const Result<Intent> intent = ReadIntent(*branch.directory);
  return intent.ok() && intent->outgoing == branch.id && intent->incoming == identity->branch_id;
}

}  // namespace

bool IsOurDirectory(const Branch& branch) {
  if (!branch.directory || !IsOurBranchDirectory(DirectoryName(*branch.directory))) return false;
  if (branch.compute) {
    // That of a branch's server keeps its place when a restore exchanges what is in it, and any server beside it may judge it.
    const Result<std::string> place = ComputesDirectory();
    return place.ok() && DirectoryName(*branch.directory) == *place && IsDirectoryOfServer(branch);
  }
  const Result<Identity> identity = LoadIdentity(*branch.directory);
  const bool is_its_own =
      identity.ok() ? identity->branch_id == branch.id : BaseName(*branch.directory) == branch.id;
  return is_its_own && branch.directory_place && *branch.directory_place == OwnDirectoryPlace();
}

}  // namespace pitr::pg
