#include "tool/directory_claim.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/work/lay_out.h"
#include "core/work/living_server.h"
#include "core/work/tablespaces.h"
#include "tool/held.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kMaxSize = 1U << 20;
// A server whose maker was killed is about to end.
constexpr std::chrono::milliseconds kPause{50};
constexpr int kPatience = 200;

struct Note {
  BranchId line;
  std::vector<std::string> tablespaces;  // directories that were empty
};

std::string ClaimPath(const std::string& directory) {
  return JoinPath(JoinPath(directory, kOwnFolder), kClaimFile);
}

std::string EncodeNote(const Note& note) {
  Json json;
  json["branch"] = note.line;
  json["tablespaces"] = note.tablespaces;
  return DumpJson(json) + "\n";
}

Result<Note> ReadNote(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxSize));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "\"" + path + "\""));
  Note note;
  PITR_ASSIGN_OR_RETURN(note.line, JsonText(json, "branch"));
  const Json* const places = JsonArray(json, "tablespaces");
  for (const Json& place : places == nullptr ? Json::array() : *places) {
    if (place.is_string()) note.tablespaces.push_back(place.get<std::string>());
  }
  return note;
}

Status InUse(const std::string& directory, const std::string& by) {
  return Status(Code::kInUse, "directory \"" + directory + "\" is in use by " + by);
}

Status WaitForServer(const std::string& directory) {
  for (int i = 0; LivingServer(directory); i++) {
    if (i == kPatience) return InUse(directory, "a server");
    std::this_thread::sleep_for(kPause);
  }
  return Status::Ok();
}

// Of what was laid out in a tablespace: the server has one folder there.
Status EmptyTablespace(const std::string& place) {
  const Result<std::vector<std::string>> names = ListDirectory(place);
  if (!names.ok()) {
    return names.status().code() == Code::kNotFound ? Status::Ok() : names.status();
  }
  for (const std::string& name : *names) {
    if (name.starts_with("PG_")) PITR_RETURN_IF_ERROR(RemoveTree(JoinPath(place, name)));
  }
  return Status::Ok();
}

bool IsEmpty(const std::string& directory) {
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  return names.ok() ? names->empty() : names.status().code() == Code::kNotFound;
}

}  // namespace

Result<DirectoryClaim> DirectoryClaim::Take(const std::string& directory, const BranchId& line,
                                            const std::map<std::string, std::string>& tablespaces) {
  Note note;
  note.line = line;
  for (const auto& [oid, place] : tablespaces)
    note.tablespaces.push_back(place);
  const std::string path = ClaimPath(directory);
  PITR_RETURN_IF_ERROR(MakeDirectories(DirectoryName(path)));
  Result<File> file = File::Open(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!file.ok()) {
    return PathExists(path) ? InUse(directory, "another pitr restore") : file.status();
  }
  if (::flock(file->fd(), LOCK_EX | LOCK_NB) != 0) {
    return InUse(directory, "another pitr restore");
  }
  PITR_RETURN_IF_ERROR(file->WriteAll(AsBytes(EncodeNote(note))));
  PITR_RETURN_IF_ERROR(file->Sync());
  PITR_RETURN_IF_ERROR(SyncDirectory(DirectoryName(path)));
  PITR_FAULT("restore.claimed");
  return DirectoryClaim(path, std::move(*file));
}

Status DirectoryClaim::Finish() {
  PITR_RETURN_IF_ERROR(RemoveFile(path_));
  return SyncDirectory(DirectoryName(path_));
}

Result<std::optional<BranchId>> RemoveHalfMade(const std::string& directory) {
  const std::string path = ClaimPath(directory);
  if (!PathExists(path)) return std::optional<BranchId>();
  PITR_ASSIGN_OR_RETURN(const std::optional<File> held, Hold(path));
  if (!held) return InUse(directory, "another pitr restore");
  PITR_RETURN_IF_ERROR(WaitForServer(directory));
  // One that is empty was written by a process that got no further than that.
  const Result<Note> note = ReadNote(path);
  for (const std::string& place : note.ok() ? note->tablespaces : std::vector<std::string>()) {
    PITR_RETURN_IF_ERROR(EmptyTablespace(place));
  }
  Status removed = RemoveDataDirectory(directory, "");
  // The directory of a mount point stays.
  if (!removed.ok() && !IsEmpty(directory)) return removed;
  return note.ok() ? std::optional<BranchId>(note->line) : std::optional<BranchId>();
}

}  // namespace pitr::tool
