#include "tool/guard_back.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/file.h"
#include "core/repo/identity.h"
#include "core/repo/intent.h"
#include "core/work/living_server.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

// A postmaster that finds a living process of its user in this file does not start (15-18 miscinit.c CreateLockFile).
class DirectoryLock {
 public:
  DirectoryLock() = default;
  ~DirectoryLock() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  Status Take(const std::string& directory) {
    if (const auto other = LivingServer(directory)) {
      return Status(Code::kInUse,
                    "a server runs in \"" + directory + "\" (pid " + std::to_string(*other) + ")");
    }
    const std::string path = JoinPath(directory, "postmaster.pid");
    // What a killed server left behind.
    PITR_RETURN_IF_ERROR(RemoveFile(path));
    PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_WRONLY | O_CREAT | O_EXCL));
    path_ = path;
    return file.WriteAll(AsBytes(std::to_string(::getpid()) + "\n"));
  }
  // The directory that it lies in is called differently now.
  void MovedTo(const std::string& directory) { path_ = JoinPath(directory, "postmaster.pid"); }

 private:
  std::string path_;
};

// The collector's folder went with the server, the old directory has a link to where it then was.
Status MoveLogDirectoryBack(const Intent& intent) {
  if (intent.log_directory.empty()) {
    return Status::Ok();
  }
  const std::string mine = JoinPath(intent.live_directory, intent.log_directory);
  const std::string theirs = JoinPath(intent.staged_directory, intent.log_directory);
  struct stat info {};
  if (::lstat(mine.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(RemoveFile(mine));
  return ::rename(theirs.c_str(), mine.c_str()) == 0
             ? Status::Ok()
             : Status::FromErrno(errno, "rename \"" + theirs + "\"");
}

}  // namespace

Status ExchangeBack(const std::string& live_directory, const std::string& nonce) {
  DirectoryLock live, staged;
  PITR_RETURN_IF_ERROR(live.Take(live_directory));
  // Read under the lock: a server that came up in between has confirmed.
  PITR_ASSIGN_OR_RETURN(const Intent intent, ReadIntent(live_directory));
  PITR_ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(live_directory));
  if (intent.nonce != nonce || intent.state != "armed" || identity.branch_id != intent.incoming) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(staged.Take(intent.staged_directory));
  if (::renameat2(AT_FDCWD, live_directory.c_str(), AT_FDCWD, intent.staged_directory.c_str(),
                  RENAME_EXCHANGE) != 0) {
    return Status::FromErrno(
        errno, "exchange \"" + live_directory + "\" and \"" + intent.staged_directory + "\"");
  }
  live.MovedTo(intent.staged_directory);
  staged.MovedTo(live_directory);
  PITR_RETURN_IF_ERROR(MoveLogDirectoryBack(intent));
  PITR_RETURN_IF_ERROR(SyncDirectory(DirectoryName(live_directory)));
  return SyncDirectory(DirectoryName(intent.staged_directory));
}

}  // namespace pitr::tool
