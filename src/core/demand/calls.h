// The C library's calls as a server's main program makes them, when its data directory is incomplete: the same functions, but what a
// relation file lacks is loaded before it is read. The library puts them in the place of the real ones (pg/redirect.h); each begins
// with one look at a pointer, which is null in a server on a plain directory.
//
// They keep errno as the real ones do, allocate nothing but at the first open of a relation file, and call nothing of the server.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstdio>

#include "core/demand/directory.h"

namespace pitr::demand {

// What calls are about from here on; nullptr: everything passes through. REQUIRES: one thread, no relation file open; what it is called is
// known (path.h).
void UseDirectory(const Directory* directory);
const Directory* UsedDirectory() noexcept;
// The server's own switch: while it says false the server makes no fsync, and the durable map is made up to date before each write of
// the control file instead (internals 2c).
void WatchFsyncSetting(const bool* is_on) noexcept;
// For a directory that is made again when the machine dies, and synced by its file systems before it counts: only relation files with
// a map are synced, since the map follows (internals 2); not each WAL file that comes, nor each write of the control file.
void SyncOnlyWhatIsMapped(bool only) noexcept;

// Named after the calls that they stand for.
namespace calls {
int Open(const char* path, int flags, ...);
int Close(int fd);
ssize_t Read(int fd, void* buffer, std::size_t size);
ssize_t ReadChecked(int fd, void* buffer, std::size_t size, std::size_t buffer_size);
ssize_t Write(int fd, const void* buffer, std::size_t size);
ssize_t Pread(int fd, void* buffer, std::size_t size, off_t offset);
ssize_t Preadv(int fd, const struct iovec* parts, int count, off_t offset);
ssize_t Pwrite(int fd, const void* buffer, std::size_t size, off_t offset);
ssize_t Pwritev(int fd, const struct iovec* parts, int count, off_t offset);
int Ftruncate(int fd, off_t size);
int Truncate(const char* path, off_t size);
ssize_t CopyFileRange(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
                      unsigned flags);
int Fadvise(int fd, off_t offset, off_t size, int advice);
int Fsync(int fd);
int Unlink(const char* path);
int Rename(const char* from, const char* to);
std::FILE* Fopen(const char* path, const char* mode);
}  // namespace calls

}  // namespace pitr::demand
