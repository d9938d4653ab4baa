#include "core/work/socket_lock.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string_view>

#include "core/base/file.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxLockFile = 8192;

std::string LockPath(const std::string& path) { return path + ".lock"; }

struct Owner {
  pid_t pid = 0;
  std::string directory;
};

// Lines 1 and 2 of src/include/utils/pidfile.h; the pid of a single-user server is negative.
Result<Owner> ReadOwner(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(LockPath(path), kMaxLockFile));
  Owner owner;
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::from_chars(text.data(), text.data() + end, owner.pid);
  owner.pid = owner.pid < 0 ? -owner.pid : owner.pid;
  if (end < text.size()) {
    const std::size_t next = std::min(text.find('\n', end + 1), text.size());
    owner.directory = text.substr(end + 1, next - end - 1);
  }
  return owner;
}

bool IsThere(pid_t pid) { return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM); }

Status WriteLock(const std::string& path, int port, const std::string& data_directory) {
  PITR_ASSIGN_OR_RETURN(File file, File::Open(LockPath(path), O_RDWR | O_CREAT | O_EXCL, 0600));
  const std::string text = std::to_string(::getpid()) + "\n" + data_directory + "\n" +
                           std::to_string(::time(nullptr)) + "\n" + std::to_string(port) + "\n" +
                           DirectoryName(path) + "\n";
  const Status written = file.WriteAll(AsBytes(text));
  if (!written.ok()) {
    ::unlink(LockPath(path).c_str());
  }
  return written;
}

}  // namespace

std::string SocketPath(const std::string& directory, int port) {
  return JoinPath(directory, ".s.PGSQL." + std::to_string(port));
}

bool IsAbstractSocket(const std::string& path) { return path.starts_with('@'); }

Status LockSocket(const std::string& path, int port, const std::string& data_directory) {
  constexpr int kTries = 20;
  for (int i = 0; i < kTries; i++) {
    const Status written = WriteLock(path, port, data_directory);
    if (written.code() != Code::kAlreadyExists) {
      return written;
    }
    const Result<Owner> owner = ReadOwner(path);
    if (!owner.ok() && owner.status().code() == Code::kNotFound) {
      continue;  // it went away just now
    }
    PITR_RETURN_IF_ERROR(owner.status());
    if (owner->directory != data_directory && IsThere(owner->pid)) {
      return Status(Code::kInUse, "socket \"" + path + "\" belongs to process " +
                                      std::to_string(owner->pid) + " of \"" + owner->directory +
                                      "\"");
    }
    PITR_RETURN_IF_ERROR(RemoveFile(LockPath(path)));
  }
  return Status(Code::kInUse, "the lock file of socket \"" + path + "\" comes and goes");
}

void UnlockSocket(const std::string& path) {
  const Result<Owner> owner = ReadOwner(path);
  if (!owner.ok() || owner->pid != ::getpid()) {
    return;
  }
  ::unlink(path.c_str());
  ::unlink(LockPath(path).c_str());
}

void RemoveDeadSocket(const std::string& path, const std::string& data_directory) {
  if (IsAbstractSocket(path)) {
    return;
  }
  const Result<Owner> owner = ReadOwner(path);
  if (!owner.ok() || owner->directory != data_directory || IsThere(owner->pid) ||
      IsSocketTaken(path)) {
    return;
  }
  ::unlink(path.c_str());
  ::unlink(LockPath(path).c_str());
}

bool IsSocketTaken(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno != ENOENT;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!S_ISSOCK(info.st_mode) || path.size() >= sizeof address.sun_path) {
    return true;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const File probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return !probe.is_open() ||
         ::connect(probe.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         errno != ECONNREFUSED;
}

}  // namespace pitr
