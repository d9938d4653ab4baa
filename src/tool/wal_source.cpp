// wal-get.json and the spool. Names of segments order like positions on a path: first the timeline, then the number.
#include "tool/wal_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/types/wal_name.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kSegmentNameSize = 24;  // 8 hex digits each: timeline, high and low number

Json BranchJson(const Branch& branch) {
  Json json;
  json["id"] = branch.id;
  json["name"] = branch.name;
  json["system_identifier"] = branch.root.system_identifier;
  json["server_major"] = branch.root.server_major;
  json["segment_size"] = branch.root.segment_size;
  if (branch.ancestor) {
    json["ancestor"] = *branch.ancestor;
  }
  json["fork_lsn"] = branch.fork_lsn.ToString();
  json["fork_timeline"] = branch.fork_timeline;
  return json;
}

Result<Branch> ParseBranch(const Json& json) {
  Branch branch;
  PITR_ASSIGN_OR_RETURN(branch.id, JsonText(json, "id"));
  PITR_ASSIGN_OR_RETURN(branch.name, JsonText(json, "name"));
  PITR_ASSIGN_OR_RETURN(branch.root.system_identifier, JsonUint(json, "system_identifier"));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t major, JsonUint(json, "server_major"));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t segment_size, JsonUint(json, "segment_size"));
  if (!IsValidSegmentSize(segment_size)) {
    return Status(Code::kCorrupt, "segment size " + std::to_string(segment_size) + " is none");
  }
  branch.root.server_major = static_cast<std::uint32_t>(major);
  branch.root.segment_size = static_cast<std::uint32_t>(segment_size);
  PITR_ASSIGN_OR_RETURN(branch.ancestor, JsonOptionalText(json, "ancestor"));
  PITR_ASSIGN_OR_RETURN(const std::string fork, JsonText(json, "fork_lsn"));
  PITR_ASSIGN_OR_RETURN(branch.fork_lsn, Lsn::Parse(fork));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t timeline, JsonUint(json, "fork_timeline"));
  branch.fork_timeline = static_cast<TimelineId>(timeline);
  return branch;
}

}  // namespace

std::string WalSourceText(const WalSource& source) {
  Json json;
  PutAccess(source.repository, &json);
  json["line"] = Json::array();
  for (const Branch& branch : source.line) {
    json["line"].push_back(BranchJson(branch));
  }
  json["family"] = source.family;
  json["used_timelines"] = source.used_timelines;
  json["target_timeline"] = source.target_timeline;
  json["spool"] = source.spool;
  json["durable"] = source.durable;
  return DumpJson(json, 1);
}

Result<WalSource> ParseWalSource(std::string_view text) {
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "wal-get.json"));
  WalSource source;
  PITR_ASSIGN_OR_RETURN(source.repository, AccessFrom(json));
  const Json* line = JsonArray(json, "line");
  const Json* family = JsonArray(json, "family");
  const Json* timelines = JsonArray(json, "used_timelines");
  if (line == nullptr || line->empty() || family == nullptr || timelines == nullptr) {
    return Status(Code::kCorrupt, "wal-get.json names no line of history");
  }
  for (const Json& branch : *line) {
    PITR_ASSIGN_OR_RETURN(Branch parsed, ParseBranch(branch));
    source.line.push_back(std::move(parsed));
  }
  for (const Json& id : *family) {
    if (!id.is_string()) {
      return Status(Code::kCorrupt, "wal-get.json: a branch id is not a text");
    }
    source.family.push_back(id.get<std::string>());
  }
  for (const Json& timeline : *timelines) {
    if (!timeline.is_number_unsigned()) {
      return Status(Code::kCorrupt, "wal-get.json: a timeline is not a number");
    }
    source.used_timelines.push_back(timeline.get<TimelineId>());
  }
  PITR_ASSIGN_OR_RETURN(const std::uint64_t target, JsonUint(json, "target_timeline"));
  source.target_timeline = static_cast<TimelineId>(target);
  PITR_ASSIGN_OR_RETURN(source.spool, JsonText(json, "spool"));
  PITR_ASSIGN_OR_RETURN(source.durable, JsonBool(json, "durable"));
  return source;
}

Status PublishFile(const std::string& path, ByteView bytes, bool durable) {
  if (durable) {
    return WriteFileDurably(path, bytes);
  }
  const std::string temporary = path + ".tmp." + std::to_string(::getpid());
  PITR_ASSIGN_OR_RETURN(File file, File::Open(temporary, O_WRONLY | O_CREAT | O_TRUNC));
  Status written = file.WriteAll(bytes);
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = Status::FromErrno(errno, "rename \"" + temporary + "\" to \"" + path + "\"");
  }
  if (!written.ok()) {
    (void)RemoveFile(temporary);
  }
  return written;
}

std::string SpoolFile(const std::string& spool, const std::string& segment_name) {
  return JoinPath(spool, segment_name);
}

std::string SpoolPartFile(const std::string& spool, const std::string& segment_name) {
  return JoinPath(spool, "part." + segment_name);
}

std::string ReadSpoolPosition(const std::string& spool) {
  Result<std::string> text = ReadTextFile(JoinPath(spool, "position"), 64);
  return text.ok() && text->size() == kSegmentNameSize ? std::move(*text) : std::string();
}

Status MoveSpoolPosition(const std::string& spool, const std::string& segment_name) {
  PITR_RETURN_IF_ERROR(PublishFile(JoinPath(spool, "position"), AsBytes(segment_name), false));
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(spool));
  for (const std::string& name : names) {
    if (name.size() == kSegmentNameSize && name <= segment_name) {
      PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(spool, name)));
    }
  }
  return Status::Ok();
}

}  // namespace pitr::tool
