#include "core/work/look.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/base/hash.h"
#include "core/base/json.h"

namespace pitr {

namespace {

constexpr std::string_view kPrefix = "look-", kGone = ".gone";
constexpr std::size_t kHexDigits = 8, kMaxFile = 1U << 16;
constexpr std::int64_t kSecond = 1000000;

std::string UsePath(const std::string& folder) { return JoinPath(folder, "use"); }
std::string FactsPath(const std::string& folder) { return JoinPath(folder, "look.json"); }

// The file that was locked is still the one of that name: a folder that was given up has another.
bool IsStillThere(const File& file, const std::string& path) {
  struct stat held {};
  struct stat named {};
  return ::fstat(file.fd(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

Result<File> TryLock(const std::string& path, int how, int flags) {
  Result<File> file = File::Open(path, O_RDWR | flags);
  if (file.status().code() == Code::kNotFound) return File();
  PITR_RETURN_IF_ERROR(file.status());
  while (::flock(file->fd(), how | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return File();
    if (errno != EINTR) return Status::FromErrno(errno, "lock \"" + path + "\"");
  }
  return IsStillThere(*file, path) ? std::move(file) : Result<File>(File());
}

}  // namespace

Result<std::string> NewLookName() {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(kHexDigits / 2));
  return std::string(kPrefix) + ToHex(random);
}

bool IsLookName(std::string_view name) {
  return name.size() == kPrefix.size() + kHexDigits && name.starts_with(kPrefix) &&
         name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

bool IsGoneLookName(std::string_view name) {
  return name.ends_with(kGone) && IsLookName(name.substr(0, name.size() - kGone.size()));
}

Result<Look> ReadLook(const std::string& folder) {
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(FactsPath(folder), kMaxFile));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "look.json"));
  Look look;
  look.folder = folder;
  PITR_ASSIGN_OR_RETURN(look.is_ready, JsonBool(json, "ready"));
  PITR_ASSIGN_OR_RETURN(look.can_go_on, JsonBool(json, "can_go_on"));
  PITR_ASSIGN_OR_RETURN(look.operation, JsonText(json, "operation"));
  PITR_ASSIGN_OR_RETURN(look.line, JsonText(json, "line"));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t timeline, JsonUint(json, "timeline"));
  look.timeline = static_cast<TimelineId>(timeline);
  PITR_ASSIGN_OR_RETURN(const std::string end, JsonText(json, "record_end"));
  PITR_ASSIGN_OR_RETURN(look.record_end, Lsn::Parse(end));
  PITR_ASSIGN_OR_RETURN(const auto commit_time, JsonOptionalInt(json, "commit_time"));
  if (commit_time) look.commit_time = Timestamp{*commit_time};
  PITR_ASSIGN_OR_RETURN(look.point, JsonText(json, "point"));
  const Json* asked = JsonArray(json, "asked");
  for (const Json& each : asked != nullptr ? *asked : Json::array())
    if (each.is_string()) look.asked.push_back(each.get<std::string>());
  PITR_ASSIGN_OR_RETURN(look.directory, JsonText(json, "directory"));
  PITR_ASSIGN_OR_RETURN(look.snapshot, JsonText(json, "snapshot"));
  PITR_ASSIGN_OR_RETURN(look.socket_directory, JsonText(json, "socket_directory"));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t port, JsonUint(json, "port"));
  look.port = static_cast<int>(port);
  return look;
}

Status WriteLook(const Look& look) {
  Json json;
  json["ready"] = look.is_ready;
  json["can_go_on"] = look.can_go_on;
  json["operation"] = look.operation;
  json["line"] = look.line;
  json["timeline"] = look.timeline;
  json["record_end"] = look.record_end.ToString();
  json["commit_time"] = look.commit_time ? Json(look.commit_time->micros) : Json(nullptr);
  json["point"] = look.point;
  json["asked"] = look.asked;
  json["directory"] = look.directory;
  json["snapshot"] = look.snapshot;
  json["socket_directory"] = look.socket_directory;
  json["port"] = look.port;
  if (!PathExists(UsePath(look.folder)))
    PITR_RETURN_IF_ERROR(File::Open(UsePath(look.folder), O_RDWR | O_CREAT).status());
  return WriteFileLoosely(FactsPath(look.folder), AsBytes(DumpJson(json)));
}

std::vector<Look> ListLooks(const std::string& branch_directory) {
  std::vector<Look> looks;
  const Result<std::vector<std::string>> names = ListDirectory(branch_directory);
  if (!names.ok()) return looks;
  for (const std::string& name : *names) {
    if (!IsLookName(name)) continue;
    Result<Look> look = ReadLook(JoinPath(branch_directory, name));
    if (look.ok()) looks.push_back(*std::move(look));
  }
  return looks;
}

Result<File> TryLockLooks(const std::string& branch_directory) {
  return TryLock(JoinPath(branch_directory, "looks.lock"), LOCK_EX, O_CREAT);
}

Result<File> TryUseLook(const std::string& folder) {
  PITR_ASSIGN_OR_RETURN(File use, TryLock(UsePath(folder), LOCK_SH, 0));
  if (use.is_open()) NoteUseOfLook(use);
  return use;
}

Result<File> TryTakeLook(const std::string& folder) { return TryLock(UsePath(folder), LOCK_EX, 0); }

Timestamp LastUseOfLook(const std::string& folder) {
  struct stat info {};
  if (::stat(UsePath(folder).c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec * kSecond + info.st_mtim.tv_nsec / 1000};
}

void NoteUseOfLook(const File& use) { (void)::futimens(use.fd(), nullptr); }

Result<std::string> GiveUpLook(const std::string& folder) {
  std::string gone = folder + std::string(kGone);
  if (::rename(folder.c_str(), gone.c_str()) != 0)
    return Status::FromErrno(errno, "rename \"" + folder + "\"");
  return gone;
}

}  // namespace pitr
