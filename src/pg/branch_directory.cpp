#include "pg/branch_directory.h"

#include "core/base/file.h"
#include "pg/server_facts.h"

namespace pitr::pg {

namespace {

// Renewed never: a server keeps its system identifier over every restore.
std::string MarkText() { return std::to_string(ServerIdentity().system_identifier) + "\n"; }

Result<std::string> ReadMark(const std::string& directory) {
  return ReadTextFile(JoinPath(directory, "server"), 256);
}

}  // namespace

Status ClaimBranchDirectory(const std::string& directory) {
  PITR_RETURN_IF_ERROR(MakeDirectories(directory));
  Result<std::string> mark = ReadMark(directory);
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
  return mark.ok() && *mark == MarkText();
}

bool IsOurDirectory(const Branch& branch) {
  return branch.directory && BaseName(*branch.directory) == branch.id &&
         IsOurBranchDirectory(DirectoryName(*branch.directory));
}

}  // namespace pitr::pg
