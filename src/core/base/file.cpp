// Files over POSIX calls. Invariant: a function that says DURABLE returns OK only after the file and
// the directory naming it are on disk, and no error of write or fsync is ever swallowed or retried.
#include "core/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

namespace pitr {

namespace {

std::string Quoted(std::string_view verb, std::string_view path) {
  std::string text(verb);
  text.append(" \"").append(path).append("\"");
  return text;
}

Status ErrnoStatus(int errnum, std::string_view verb, std::string_view path) {
  return Status::FromErrno(errnum, Quoted(verb, path));
}

// The name behind a descriptor, for errors only: the kernel knows it, so File need not keep it.
Status DescriptorStatus(int errnum, std::string_view verb, int fd) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  char path[4096];
  const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
  return ErrnoStatus(errnum, verb,
                     size > 0 ? std::string_view(path, static_cast<std::size_t>(size)) : link);
}

// pwrite at `offset`, or write at the current offset when `offset` is negative.
Status WriteFully(int fd, off_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = offset < 0 ? ::write(fd, bytes.data(), bytes.size())
                                   : ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      // A write of nothing without an error means a full disk, as the server reads it too.
      return DescriptorStatus(put < 0 ? errno : ENOSPC, "write", fd);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset = offset < 0 ? offset : offset + put;
  }
  return Status::Ok();
}

template <typename Container>
Result<Container> ReadWhole(const std::string& path, std::size_t max_size) {
  PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_RDONLY));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t size, file.Size());
  Container content;
  std::size_t filled = 0;
  // One byte more than the file had, so that one read sees the end; files in /proc say 0, and a file
  // may grow meanwhile, hence the loop.
  std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(size, max_size)) + 1;
  bool is_at_end = false;
  while (!is_at_end && size <= max_size && filled <= max_size) {
    content.resize(filled + room);
    PITR_ASSIGN_OR_RETURN(const std::size_t got,
                          file.ReadAt(filled, content.data() + filled, room));
    filled += got;
    is_at_end = got < room;
    room = 65536;
  }
  if (size > max_size || filled > max_size) {
    return Status(Code::kLimit,
                  "file \"" + path + "\" is larger than " + std::to_string(max_size) + " bytes");
  }
  content.resize(filled);
  return content;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

File::~File() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    fd_ = other.Release();
  }
  return *this;
}

Result<File> File::Open(const std::string& path, int flags, unsigned mode) {
  for (;;) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode));
    if (fd >= 0) {
      return File(fd);
    }
    if (errno != EINTR) {
      return ErrnoStatus(errno, "open", path);
    }
  }
}

Result<std::uint64_t> File::Size() const {
  struct stat st = {};
  if (::fstat(fd_, &st) != 0) {
    return DescriptorStatus(errno, "stat", fd_);
  }
  return static_cast<std::uint64_t>(st.st_size);
}

Result<std::size_t> File::ReadAt(std::uint64_t offset, void* out, std::size_t size) const {
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::pread(fd_, static_cast<char*>(out) + filled, size - filled,
                                static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return DescriptorStatus(errno, "read", fd_);
    }
    if (got == 0) {
      break;
    }
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

Status File::WriteAll(ByteView bytes) { return WriteFully(fd_, -1, bytes); }

Status File::WriteAt(std::uint64_t offset, ByteView bytes) {
  return WriteFully(fd_, static_cast<off_t>(offset), bytes);
}

Status File::Sync() {
  // Only EINTR is tried again: after any other error the kernel may have dropped the dirty pages, and
  // a second fsync would say OK about content that is lost.
  while (::fsync(fd_) != 0) {
    if (errno != EINTR) {
      return DescriptorStatus(errno, "fsync", fd_);
    }
  }
  return Status::Ok();
}

Result<Bytes> ReadFile(const std::string& path, std::size_t max_size) {
  return ReadWhole<Bytes>(path, max_size);
}

Result<std::string> ReadTextFile(const std::string& path, std::size_t max_size) {
  return ReadWhole<std::string>(path, max_size);
}

namespace {

Status WriteAndRename(const std::string& temporary, const std::string& path, ByteView bytes,
                      unsigned mode, bool durably) {
  PITR_ASSIGN_OR_RETURN(File file, File::Open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
  PITR_RETURN_IF_ERROR(file.WriteAll(bytes));
  if (durably) {
    PITR_RETURN_IF_ERROR(file.Sync());
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, "rename to", path);
  }
  return Status::Ok();
}

Status Replace(const std::string& path, ByteView bytes, unsigned mode, bool durably) {
  const std::string directory = DirectoryName(path);
  const std::string temporary =
      JoinPath(directory, "." + BaseName(path) + ".tmp." + std::to_string(::getpid()));
  // Left by a crashed process that had our pid. Removed, not truncated: it might be a link.
  PITR_RETURN_IF_ERROR(RemoveFile(temporary));
  Status status = WriteAndRename(temporary, path, bytes, mode, durably);
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  return durably ? SyncDirectory(directory) : Status::Ok();
}

}  // namespace

Status WriteFileDurably(const std::string& path, ByteView bytes, unsigned mode) {
  return Replace(path, bytes, mode, true);
}

Status WriteFileLoosely(const std::string& path, ByteView bytes, unsigned mode) {
  return Replace(path, bytes, mode, false);
}

Status SyncDirectory(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(File directory, File::Open(path, O_RDONLY | O_DIRECTORY));
  return directory.Sync();
}

Status MakeDirectories(const std::string& path, unsigned mode) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) == 0) {
    return S_ISDIR(st.st_mode) ? Status::Ok() : ErrnoStatus(ENOTDIR, "create directory", path);
  }
  int errnum = errno;
  const std::string parent = DirectoryName(path);
  if (errnum != ENOENT || parent == path) {
    return ErrnoStatus(errnum, "create directory", path);
  }
  PITR_RETURN_IF_ERROR(MakeDirectories(parent, mode));
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0) {
    // Another process may have made it meanwhile; what it made must still be a directory.
    errnum = errno;
    if (errnum != EEXIST || ::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
      return ErrnoStatus(errnum, "create directory", path);
    }
  }
  return SyncDirectory(parent);
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (directory == nullptr) {
    return ErrnoStatus(errno, "open directory", path);
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) {
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  if (errno != 0) {
    return ErrnoStatus(errno, "read directory", path);
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

// Everything in it that is still there; each error but that of a name that has gone meanwhile.
Status RemoveEntries(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path));
  for (const std::string& name : names) {
    const std::string child = JoinPath(path, name);
    if (::unlink(child.c_str()) == 0 || errno == ENOENT) {
      continue;
    }
    if (errno != EISDIR) {
      return ErrnoStatus(errno, "remove", child);
    }
    PITR_RETURN_IF_ERROR(RemoveTree(child));
  }
  return Status::Ok();
}

}  // namespace

// Two may remove the same tree, each what the other has not yet; and a server that is just ending in it makes files there (ENOTEMPTY).
Status RemoveTree(const std::string& path) {
  constexpr int kAttempts = 100;
  for (int attempt = 1;; attempt++) {
    struct stat st = {};
    if (::lstat(path.c_str(), &st) != 0) {
      return errno == ENOENT || errno == ENOTDIR ? Status::Ok()
                                                 : ErrnoStatus(errno, "remove", path);
    }
    if (!S_ISDIR(st.st_mode)) {
      return RemoveFile(path);
    }
    Status status = RemoveEntries(path);
    if (!status.ok() && status.code() != Code::kNotFound) {
      return status;
    }
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) {
      return Status::Ok();
    }
    if ((errno != ENOTEMPTY && errno != EEXIST) || attempt == kAttempts) {
      return ErrnoStatus(errno, "remove", path);
    }
    ::usleep(20 * 1000);
  }
}

Status RemoveFile(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "remove", path);
  }
  return Status::Ok();
}

bool PathExists(const std::string& path) {
  struct stat st = {};
  return ::lstat(path.c_str(), &st) == 0;
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') {
    path.push_back('/');
  }
  path.append(name);
  return path;
}

namespace {

// Without the slashes at the end; a path of slashes only becomes empty.
std::string_view WithoutTrailingSlashes(std::string_view path) {
  while (!path.empty() && path.back() == '/') {
    path.remove_suffix(1);
  }
  return path;
}

}  // namespace

std::string DirectoryName(std::string_view path) {
  const bool is_absolute = !path.empty() && path.front() == '/';
  path = WithoutTrailingSlashes(path);
  const std::size_t slash = path.rfind('/');
  path = slash == std::string_view::npos ? std::string_view()
                                         : WithoutTrailingSlashes(path.substr(0, slash));
  if (path.empty()) {
    return is_absolute ? "/" : ".";
  }
  return std::string(path);
}

std::string BaseName(std::string_view path) {
  const std::string_view trimmed = WithoutTrailingSlashes(path);
  if (trimmed.empty()) {
    return path.empty() ? "" : "/";
  }
  const std::size_t slash = trimmed.rfind('/');
  return std::string(slash == std::string_view::npos ? trimmed : trimmed.substr(slash + 1));
}

Result<std::uint64_t> FreeSpace(const std::string& path) {
  struct statvfs vfs = {};
  if (::statvfs(path.c_str(), &vfs) != 0) {
    return ErrnoStatus(errno, "stat the file system of", path);
  }
  return static_cast<std::uint64_t>(vfs.f_bavail) * vfs.f_frsize;
}

Result<std::uint64_t> WholeSpace(const std::string& path) {
  struct statvfs vfs = {};
  if (::statvfs(path.c_str(), &vfs) != 0) {
    return ErrnoStatus(errno, "stat the file system of", path);
  }
  return static_cast<std::uint64_t>(vfs.f_blocks) * vfs.f_frsize;
}

}  // namespace pitr
