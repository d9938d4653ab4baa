// Which descriptor is which relation file is known by its number: the main program opens and closes its descriptors by the calls
// below, all of them, and no descriptor of a relation file is made in any other way (internals 23).
#include "core/demand/calls.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "core/demand/control_state.h"
#include "core/demand/path.h"

namespace pitr::demand {

namespace {

constexpr std::uint32_t kDescriptors = 65536;
constexpr std::string_view kControlFile = "global/pg_control";

constinit const Directory* used = nullptr;
constinit const bool* fsync_setting = nullptr;
constinit bool only_mapped_syncs = false;
// The server has pg_control open once at a time.
constinit int control_fd = -1;
// Number of the file in the index + 1; untouched pages of it cost nothing.
constinit std::array<std::uint32_t, kDescriptors> file_of = {};

inline const Directory* Active() noexcept {
  const Directory* directory = used;
  return directory == nullptr || directory->IsComplete() ? nullptr : directory;
}

// The relation file behind a descriptor, nullptr when it is none, or nothing is missing.
struct Tracked {
  const Directory* directory = nullptr;
  std::uint32_t file = 0;
  explicit operator bool() const noexcept { return directory != nullptr; }
};

inline Tracked Find(int fd) noexcept {
  const Directory* directory = Active();
  if (directory == nullptr || static_cast<std::uint32_t>(fd) >= kDescriptors) {
    return {};
  }
  const std::uint32_t number = file_of[static_cast<std::uint32_t>(fd)];
  return number == 0 ? Tracked{} : Tracked{directory, number - 1};
}

Tracked FindPath(const char* path) noexcept {
  const Directory* directory = Active();
  const char* inside = directory == nullptr ? nullptr : PathInDirectory(path);
  if (inside == nullptr) {
    return {};
  }
  const auto file = directory->index().FindFile(inside);
  return file ? Tracked{directory, *file} : Tracked{};
}

int Fail(int error) noexcept {
  errno = error;
  return -1;
}

std::uint64_t PageOf(off_t offset) noexcept {
  return static_cast<std::uint64_t>(offset) / kPageBytes;
}
std::uint64_t PageEnd(std::uint64_t byte) noexcept { return (byte + kPageBytes - 1) / kPageBytes; }

// The bytes [offset, offset + size) can be read.
int LoadBytes(const Tracked& tracked, off_t offset, std::size_t size) noexcept {
  if (size == 0 || offset < 0) {
    return 0;
  }
  return tracked.directory->Load(tracked.file, PageOf(offset),
                                 PageEnd(static_cast<std::uint64_t>(offset) + size));
}

std::size_t SizeOf(const struct iovec* parts, int count) noexcept {
  std::size_t size = 0;
  for (int i = 0; i < count; i++) {
    size += parts[i].iov_len;
  }
  return size;
}

// Whole pages are taken without being loaded; of one that is written in part the rest must be there. When a write ends within a page
// that was taken, the answer ends before it: that page is missing again, and whoever goes on begins with all of it.
template <typename Write>
ssize_t WriteBytes(const Tracked& tracked, off_t offset, std::size_t size, Write write) noexcept {
  if (size == 0 || offset < 0) {
    return write();
  }
  const auto begin = static_cast<std::uint64_t>(offset), end = begin + size;
  const std::uint64_t first = PageEnd(begin), last = end / kPageBytes;
  if (begin % kPageBytes != 0) {
    if (const int error = tracked.directory->Load(tracked.file, first - 1, first))
      return Fail(error);
  }
  if (end % kPageBytes != 0) {
    if (const int error = tracked.directory->Load(tracked.file, last, last + 1)) return Fail(error);
  }
  if (first >= last) {
    return write();
  }
  if (const int error = tracked.directory->BeginWrite(tracked.file, first, last)) {
    return Fail(error);
  }
  const ssize_t written = write();
  const int error = errno;
  const std::uint64_t reached = begin + static_cast<std::uint64_t>(std::max<ssize_t>(written, 0));
  const std::uint64_t whole = reached / kPageBytes;
  const std::uint64_t done = whole > first ? std::min(whole, last) - first : 0;
  tracked.directory->EndWrite(tracked.file, first, last, done);
  if (written > 0 && reached < end && reached % kPageBytes != 0 && reached > first * kPageBytes) {
    const std::uint64_t kept = (first + done) * kPageBytes - begin;
    return kept > 0 ? static_cast<ssize_t>(kept) : Fail(ENOSPC);
  }
  errno = error;
  return written;
}

// Pages from `size` on are cut off, and what is left of the page in which it ends must be there.
template <typename Cut>
int CutFile(const Tracked& tracked, off_t size, Cut cut) noexcept {
  if (size < 0) {
    return cut();
  }
  const std::uint64_t page = PageEnd(static_cast<std::uint64_t>(size));
  if (static_cast<std::uint64_t>(size) % kPageBytes != 0) {
    if (const int error = tracked.directory->Load(tracked.file, page - 1, page)) return Fail(error);
  }
  if (const int error = tracked.directory->BeginCut(tracked.file, page)) {
    return Fail(error);
  }
  const int result = cut();
  const int error = errno;
  tracked.directory->EndCut(tracked.file, page, result == 0);
  errno = error;
  return result;
}

// Everything that is noted so far must be on disk before the server says from where recovery begins.
int BeforeControlFile(const Directory& directory) noexcept {
  const bool server_syncs = fsync_setting == nullptr || *fsync_setting;
  return server_syncs ? directory.SyncBits() : directory.SyncAll();
}

// Also before the directory is opened: the postmaster reads it before it makes shared memory.
int NoteControlFile(const char* path, int fd) noexcept {
  if (fd >= 0 && std::string_view(path).ends_with(kControlFile)) {
    const char* inside = PathInDirectory(path);
    if (path[0] != '/' || (inside != nullptr && kControlFile == inside)) control_fd = fd;
  }
  return fd;
}

ssize_t ReadControlFile(ssize_t got, void* buffer, off_t offset) noexcept {
  if (got > 0 && offset == 0) {
    (void)ShowShutdown(static_cast<std::uint8_t*>(buffer), static_cast<std::size_t>(got));
  }
  return got;
}

ssize_t WriteControlFile(int fd, const void* buffer, std::size_t size) noexcept {
  std::uint8_t bytes[kPageBytes];
  if (Active() == nullptr || size > sizeof bytes || ::lseek(fd, 0, SEEK_CUR) != 0) {
    return ::write(fd, buffer, size);
  }
  std::memcpy(bytes, buffer, size);
  (void)HideShutdown(bytes, size);
  return ::write(fd, bytes, size);
}

bool IsWriting(int flags) noexcept { return (flags & O_ACCMODE) != O_RDONLY; }

int OpenInside(const Directory& directory, const char* inside, const char* path, int flags,
               mode_t mode) noexcept {
  if (IsWriting(flags) && kControlFile == inside) {
    if (const int error = BeforeControlFile(directory)) return Fail(error);
    return ::open(path, flags, mode);
  }
  const auto file = directory.index().FindFile(inside);
  if (!file) {
    return ::open(path, flags, mode);
  }
  if (const int error = directory.Reserve()) {
    return Fail(error);
  }
  const bool is_dead = directory.presence().IsDead(*file);
  // A new file of a name that meant another one: that the old map is void must be known before it is there.
  if ((flags & O_CREAT) != 0 && is_dead) {
    if (const int error = directory.SyncBits()) return Fail(error);
  }
  const int fd = ::open(path, flags, mode);
  if (fd < 0) {
    return fd;
  }
  if (static_cast<std::uint32_t>(fd) >= kDescriptors) {
    ::close(fd);
    return Fail(EMFILE);
  }
  // It was created just now although nobody had removed the one before by these calls.
  if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) && !is_dead) {
    int error = directory.Drop(*file);
    error = error == 0 ? directory.SyncBits() : error;
    if (error != 0) {
      ::close(fd);
      return Fail(error);
    }
  }
  file_of[static_cast<std::uint32_t>(fd)] = is_dead ? 0 : *file + 1;
  if ((flags & O_TRUNC) != 0 && IsWriting(flags)) {
    directory.EndCut(*file, 0, directory.BeginCut(*file, 0) == 0);
  }
  return fd;
}

}  // namespace

void UseDirectory(const Directory* directory) {
  if (used != nullptr) {
    file_of.fill(0);
  }
  used = directory;
}

const Directory* UsedDirectory() noexcept { return used; }
void WatchFsyncSetting(const bool* is_on) noexcept { fsync_setting = is_on; }
void SyncOnlyWhatIsMapped(bool only) noexcept { only_mapped_syncs = only; }

namespace calls {

int Open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  const Directory* directory = Active();
  const char* inside = directory == nullptr ? nullptr : PathInDirectory(path);
  return NoteControlFile(path, inside != nullptr ? OpenInside(*directory, inside, path, flags, mode)
                                                 : ::open(path, flags, mode));
}

int Close(int fd) {
  if (fd == control_fd) control_fd = -1;
  if (used != nullptr && static_cast<std::uint32_t>(fd) < kDescriptors) {
    file_of[static_cast<std::uint32_t>(fd)] = 0;
  }
  return ::close(fd);
}

ssize_t Read(int fd, void* buffer, std::size_t size) {
  if (fd == control_fd) {
    const off_t offset = ::lseek(fd, 0, SEEK_CUR);
    return ReadControlFile(::read(fd, buffer, size), buffer, offset);
  }
  if (const Tracked tracked = Find(fd)) {
    const off_t offset = ::lseek(fd, 0, SEEK_CUR);
    if (const int error = LoadBytes(tracked, offset, size)) return Fail(error);
  }
  return ::read(fd, buffer, size);
}

ssize_t ReadChecked(int fd, void* buffer, std::size_t size, std::size_t buffer_size) {
  if (size > buffer_size) {
    __builtin_trap();  // as the C library's
  }
  return Read(fd, buffer, size);
}

ssize_t Write(int fd, const void* buffer, std::size_t size) {
  if (fd == control_fd) return WriteControlFile(fd, buffer, size);
  if (const Tracked tracked = Find(fd)) {
    const off_t offset = ::lseek(fd, 0, SEEK_CUR);
    const ssize_t written =
        WriteBytes(tracked, offset, size, [&]() noexcept { return ::write(fd, buffer, size); });
    // What was taken back was written and moved the position.
    if (written >= 0 && offset >= 0) ::lseek(fd, offset + written, SEEK_SET);
    return written;
  }
  return ::write(fd, buffer, size);
}

ssize_t Pread(int fd, void* buffer, std::size_t size, off_t offset) {
  if (fd == control_fd) return ReadControlFile(::pread(fd, buffer, size, offset), buffer, offset);
  if (const Tracked tracked = Find(fd)) {
    if (const int error = LoadBytes(tracked, offset, size)) return Fail(error);
  }
  return ::pread(fd, buffer, size, offset);
}

ssize_t Preadv(int fd, const struct iovec* parts, int count, off_t offset) {
  if (const Tracked tracked = Find(fd)) {
    if (const int error = LoadBytes(tracked, offset, SizeOf(parts, count))) return Fail(error);
  }
  return ::preadv(fd, parts, count, offset);
}

ssize_t Pwrite(int fd, const void* buffer, std::size_t size, off_t offset) {
  if (const Tracked tracked = Find(fd)) {
    return WriteBytes(tracked, offset, size,
                      [&]() noexcept { return ::pwrite(fd, buffer, size, offset); });
  }
  return ::pwrite(fd, buffer, size, offset);
}

ssize_t Pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  if (const Tracked tracked = Find(fd)) {
    return WriteBytes(tracked, offset, SizeOf(parts, count),
                      [&]() noexcept { return ::pwritev(fd, parts, count, offset); });
  }
  return ::pwritev(fd, parts, count, offset);
}

int Ftruncate(int fd, off_t size) {
  if (const Tracked tracked = Find(fd)) {
    return CutFile(tracked, size, [&]() noexcept { return ::ftruncate(fd, size); });
  }
  return ::ftruncate(fd, size);
}

int Truncate(const char* path, off_t size) {
  if (const Tracked tracked = FindPath(path)) {
    return CutFile(tracked, size, [&]() noexcept { return ::truncate(path, size); });
  }
  return ::truncate(path, size);
}

ssize_t CopyFileRange(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
                      unsigned flags) {
  if (const Tracked tracked = Find(from)) {
    const off_t offset = from_offset != nullptr ? *from_offset : ::lseek(from, 0, SEEK_CUR);
    if (const int error = LoadBytes(tracked, offset, size)) return Fail(error);
  }
  if (Find(to)) {
    return Fail(
        EXDEV);  // nobody copies over a relation file that is there; the caller copies by hand
  }
  return ::copy_file_range(from, from_offset, to, to_offset, size, flags);
}

// The server says what it will read, recovery above all: what is far away sets out at once.
int Fadvise(int fd, off_t offset, off_t size, int advice) {
  const Tracked tracked = advice == POSIX_FADV_WILLNEED ? Find(fd) : Tracked{};
  if (tracked && offset >= 0 && size > 0) {
    tracked.directory->Expect(tracked.file, PageOf(offset),
                              PageEnd(static_cast<std::uint64_t>(offset + size)));
  }
  return ::posix_fadvise(fd, offset, size, advice);
}

int Fsync(int fd) {
  if (const Tracked tracked = Find(fd)) {
    return tracked.directory->Sync(tracked.file, fd);
  }
  return only_mapped_syncs && Active() != nullptr ? 0 : ::fsync(fd);
}

int Unlink(const char* path) {
  if (const Tracked tracked = FindPath(path)) {
    if (const int error = tracked.directory->Drop(tracked.file)) return Fail(error);
  }
  return ::unlink(path);
}

// The marker stays; the label that recovery puts aside is the one that it has read.
int Rename(const char* from, const char* to) {
  if (const Directory* directory = Active()) {
    const char* inside = PathInDirectory(from);
    if (inside != nullptr && std::strcmp(inside, kMarkerFile) == 0) {
      if (::renameat(directory->fd(), kLabelFile, AT_FDCWD, to) != 0) return -1;
      const int folder = ::openat(directory->fd(), kFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      const bool is_synced = folder >= 0 && ::fsync(folder) == 0;
      const int error = errno;
      if (folder >= 0) ::close(folder);
      return is_synced ? 0 : Fail(error);
    }
  }
  return ::rename(from, to);
}

// What reads through a stream reads inside the C library, where nobody is asked: the file is loaded whole first (internals 4).
std::FILE* Fopen(const char* path, const char* mode) {
  const Directory* directory = Active();
  const char* inside = directory == nullptr ? nullptr : PathInDirectory(path);
  if (inside == nullptr) {
    return std::fopen(path, mode);
  }
  if (std::strcmp(inside, kMarkerFile) == 0 && mode[0] == 'r') {
    const int fd = ::openat(directory->fd(), kLabelFile, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? nullptr : ::fdopen(fd, mode);
  }
  if (const auto file = directory->index().FindFile(inside)) {
    int error = directory->Reserve();
    error = error == 0 ? directory->LoadAll(*file) : error;
    if (error != 0) {
      errno = error;
      return nullptr;
    }
  }
  return std::fopen(path, mode);
}

}  // namespace calls

}  // namespace pitr::demand
