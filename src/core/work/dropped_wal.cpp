#include "core/work/dropped_wal.h"

#include <cerrno>
#include <cstdio>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxFile = 1U << 20;

std::string NotedPath(const std::string& folder) { return JoinPath(folder, "dropped_wal.json"); }
std::string AsidePath(const std::string& folder) {
  return JoinPath(folder, "dropped_wal.aside.json");
}

// Absent: none.
Status AddFrom(const std::string& path, std::vector<Gap>* gaps) {
  const Result<std::string> text = ReadTextFile(path, kMaxFile);
  if (text.status().code() == Code::kNotFound) return Status::Ok();
  PITR_RETURN_IF_ERROR(text.status());
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(*text, path));
  const Json* array = JsonArray(json, "gaps");
  if (array == nullptr) return Status(Code::kCorrupt, "no gaps in \"" + path + "\"");
  for (const Json& one : *array) {
    PITR_ASSIGN_OR_RETURN(Gap gap, GapFromJson(one));
    MergeGap(std::move(gap), gaps);
  }
  return Status::Ok();
}

}  // namespace

Status NoteDropped(const std::string& folder, const Gap& gap) {
  std::vector<Gap> gaps;
  PITR_RETURN_IF_ERROR(AddFrom(NotedPath(folder), &gaps));
  MergeGap(gap, &gaps);
  Json json;
  json["gaps"] = Json::array();
  for (const Gap& one : gaps)
    json["gaps"].push_back(GapJson(one));
  PITR_FAULT("drop.before_note");
  PITR_RETURN_IF_ERROR(WriteFileDurably(NotedPath(folder), AsBytes(DumpJson(json))));
  PITR_FAULT("drop.noted");
  return Status::Ok();
}

Result<std::vector<Gap>> ReadDropped(const std::string& folder) {
  std::vector<Gap> gaps;
  PITR_RETURN_IF_ERROR(AddFrom(AsidePath(folder), &gaps));
  PITR_RETURN_IF_ERROR(AddFrom(NotedPath(folder), &gaps));
  return gaps;
}

Result<std::vector<Gap>> SetDroppedAside(const std::string& folder) {
  if (!PathExists(AsidePath(folder)) && PathExists(NotedPath(folder))) {
    if (std::rename(NotedPath(folder).c_str(), AsidePath(folder).c_str()) != 0) {
      return Status::FromErrno(errno, "rename \"" + NotedPath(folder) + "\"");
    }
    PITR_RETURN_IF_ERROR(SyncDirectory(folder));
  }
  std::vector<Gap> gaps;
  PITR_RETURN_IF_ERROR(AddFrom(AsidePath(folder), &gaps));
  return gaps;
}

Status ForgetDroppedAside(const std::string& folder) {
  PITR_RETURN_IF_ERROR(RemoveFile(AsidePath(folder)));
  return SyncDirectory(folder);
}

}  // namespace pitr
