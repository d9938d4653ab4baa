// Files: owning descriptors, whole reads with a cap, durable writes, listings. Every function that
// says DURABLE has fsynced the file and the directory that names it before it returns OK.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr {

// Owns a descriptor; closing reports nothing (write errors are found by Sync).
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  ~File();
  File(File&& other) noexcept : fd_(other.Release()) {}
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // `flags` as open(2), O_CLOEXEC added. kNotFound when the path does not exist.
  static Result<File> Open(const std::string& path, int flags, unsigned mode = 0600);

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  Result<std::uint64_t> Size() const;
  // Up to `size` bytes at `offset`; fewer only at the end of the file.
  Result<std::size_t> ReadAt(std::uint64_t offset, void* out, std::size_t size) const;
  Status WriteAll(ByteView bytes);  // at the current offset
  Status WriteAt(std::uint64_t offset, ByteView bytes);
  Status Sync();  // fsync

 private:
  int fd_ = -1;
};

// The whole file. kLimit when it is larger than `max_size`, kNotFound when absent.
Result<Bytes> ReadFile(const std::string& path, std::size_t max_size);
Result<std::string> ReadTextFile(const std::string& path, std::size_t max_size);

// DURABLE. Replaces `path` through a temporary file beside it (".<name>.tmp.<pid>"): a reader sees
// the old or the new content, never a mix. REQUIRES: one thread of a process at a time per path.
Status WriteFileDurably(const std::string& path, ByteView bytes, unsigned mode = 0600);
// The same without waiting for the disk: after a power cut the file may be empty, or the old one. For what can be made anew.
Status WriteFileLoosely(const std::string& path, ByteView bytes, unsigned mode = 0600);
Status SyncDirectory(const std::string& path);  // DURABLE for the names in it
// DURABLE for what it makes, like mkdir -p; directories that are there already are not synced again.
Status MakeDirectories(const std::string& path, unsigned mode = 0700);
// Names in a directory, sorted, without "." and ".."; kNotFound when the directory is absent.
Result<std::vector<std::string>> ListDirectory(const std::string& path);
// Removes a file or a whole tree; absent is OK. Not durable by itself.
Status RemoveTree(const std::string& path);
Status RemoveFile(const std::string& path);  // absent is OK
bool PathExists(const std::string& path);    // lstat
std::string JoinPath(std::string_view directory, std::string_view name);
std::string DirectoryName(std::string_view path);  // "" never: "." or "/" at least
std::string BaseName(std::string_view path);
// Bytes free for an ordinary user on the file system of `path`.
Result<std::uint64_t> FreeSpace(const std::string& path);
// All that it has.
Result<std::uint64_t> WholeSpace(const std::string& path);

}  // namespace pitr
