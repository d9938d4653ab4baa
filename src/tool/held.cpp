#include "tool/held.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace pitr::tool {

namespace {

constexpr char kFolder[] = "/tmp";
constexpr std::string_view kPrefix = "pitr-restore-";
constexpr int kTries = 10;

bool IsStillThere(const File& file, const std::string& path) {
  struct stat held = {}, named = {};
  return ::fstat(file.fd(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

bool IsOurFolder(const std::string& path) {
  struct stat info = {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
}

void RemoveLeftBehind() {
  const Result<std::vector<std::string>> names = ListDirectory(kFolder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(kFolder, name);
    if (!name.starts_with(kPrefix) || !IsOurFolder(path)) continue;
    const Result<std::optional<File>> held = Hold(path);
    if (held.ok() && *held) RemoveSocketDirectory(path);
  }
}

}  // namespace

Result<std::optional<File>> Hold(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_RDONLY));
  if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::optional<File>();
    return Status::FromErrno(errno, "lock \"" + path + "\"");
  }
  if (!IsStillThere(file, path)) return std::optional<File>();
  return std::optional<File>(std::move(file));
}

void RemoveSocketDirectory(const std::string& directory) {
  const Result<std::vector<std::string>> names = ListDirectory(directory);
  if (names.ok()) {
    for (const std::string& name : *names) {
      if (name.compare(0, 9, ".s.PGSQL.") == 0) {
        (void)RemoveFile(JoinPath(directory, name));
      }
    }
  }
  (void)::rmdir(directory.c_str());
}

Result<SocketDirectory> SocketDirectory::Make() {
  RemoveLeftBehind();
  for (int i = 0; i < kTries; i++) {
    std::string path = JoinPath(kFolder, std::string(kPrefix) + "XXXXXX");
    if (::mkdtemp(path.data()) == nullptr) {
      return Status::FromErrno(errno, "make a directory in \"" + std::string(kFolder) + "\"");
    }
    // Until it is held it may be taken for one that was left behind.
    Result<std::optional<File>> held = Hold(path);
    if (!held.ok() && held.status().code() != Code::kNotFound) return held.status();
    if (!held.ok() || !*held) continue;
    SocketDirectory made;
    made.path_ = std::move(path);
    made.held_ = std::move(**held);
    return made;
  }
  return Status(Code::kInUse,
                "directories made in \"" + std::string(kFolder) + "\" are taken away at once");
}

SocketDirectory::~SocketDirectory() {
  if (held_.is_open()) RemoveSocketDirectory(path_);
}

}  // namespace pitr::tool
