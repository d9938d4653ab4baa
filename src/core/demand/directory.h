// An incomplete data directory in use: index and maps in memory that a server's processes share, and the loading of pages.
//
// The postmaster opens it before it makes any child; everything that follows happens in children, by system calls on memory that
// exists already, and is told by errno: 0 is success. Nothing but Reserve allocates.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/demand/fetch_table.h"
#include "core/demand/folder.h"
#include "core/demand/frame_source.h"
#include "core/demand/index.h"
#include "core/demand/presence.h"

namespace pitr::demand {

class Directory {
 public:
  // nullptr when the directory is a plain one. kCorrupt when index or map are damaged, when a file is not the one that was laid out
  // (somebody copied or rewrote the directory), or when the marker is missing or somebody else's: a server must not start on it.
  // `source` outlives it.
  static Result<std::unique_ptr<Directory>> Open(const std::string& path, FrameSource* source);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const IndexView& index() const noexcept { return index_; }
  const Presence& presence() const noexcept { return presence_; }
  int fd() const noexcept { return directory_fd_; }
  bool IsComplete() const noexcept {
    return presence_.head().is_complete.load(std::memory_order_relaxed) != 0;
  }
  std::uint64_t AbsentBytes() const noexcept {
    return presence_.head().absent_pages.load(std::memory_order_relaxed) * kPageBytes;
  }
  const std::string& path() const { return path_; }

  // Memory for this thread to load pages with. Before the first Load, where memory may be asked for. 0 or ENOMEM.
  int Reserve() const noexcept;
  // Pages [first, end) are there afterwards. What is behind the file's pages in the index always is. EIO: LastFailure() says why.
  int Load(std::uint32_t file, std::uint64_t first, std::uint64_t end) const noexcept;
  int LoadAll(std::uint32_t file) const noexcept;
  // They are going to be wanted: what comes from afar is fetched already.
  void Expect(std::uint32_t file, std::uint64_t first, std::uint64_t end) const noexcept;
  void ExpectFrame(std::uint32_t frame) const noexcept;
  // Of the fetch workers; false in it: no place of the index needs them.
  const FetchTable& fetches() const noexcept { return fetches_; }

  // A write of whole pages [first, end), which needs nothing loaded: between the two, it is the caller's to write. `written`: how many
  // of the pages were.
  int BeginWrite(std::uint32_t file, std::uint64_t first, std::uint64_t end) const noexcept;
  void EndWrite(std::uint32_t file, std::uint64_t first, std::uint64_t end,
                std::uint64_t written) const noexcept;
  // The file is cut to `page` pages between the two.
  int BeginCut(std::uint32_t file, std::uint64_t page) const noexcept;
  void EndCut(std::uint32_t file, std::uint64_t page, bool was_cut) const noexcept;
  // Before the name is given up: nothing is ever loaded into a file of that name again (internals 27).
  int Drop(std::uint32_t file) const noexcept;
  // fsync(fd) of that file, and what it makes durable is noted. -1 and errno, as fsync.
  int Sync(std::uint32_t file, int fd) const noexcept;
  // DURABLE: of every file, for a server that does not fsync.
  int SyncAll() const noexcept;
  // DURABLE: the map. Before the control file is written.
  int SyncBits() const noexcept { return presence_.SyncBits() ? 0 : errno_or_eio(); }

  // Why the last Load of this thread failed; that it did is forgotten by asking for it.
  static FetchFailure* LastFailure() noexcept;
  static bool HasFailure() noexcept;
  static void ForgetFailure() noexcept;
  // The same of any process, within the last minute: with I/O workers (18) another one reads.
  const char* RecentFailure() const noexcept;

 private:
  Directory(std::string path, FrameSource* source);
  Status ReadIndex();
  Status MakeFetches();
  Status ReadMaps();
  Status ReadBits();
  Status CheckMarker() const;
  Status LookAtFiles();
  Status LookAtFile(std::uint32_t number);
  int LoadFrame(std::uint32_t file, const Run& run) const noexcept;
  int Decode(std::uint32_t frame) const noexcept;
  bool ReadPacked(std::uint32_t frame, std::uint32_t place) const noexcept;
  bool IsReadInOrder(const FileEntry& file, const Run* run) const noexcept;
  void ReadAhead(std::uint32_t file, const Run* run) const noexcept;
  int WriteRun(std::uint32_t file, int fd, const Run& run) const noexcept;
  static int errno_or_eio() noexcept;
  int Failed(int error) const noexcept;

  std::string path_;
  FrameSource* source_;
  const std::uint64_t generation_;  // never used twice in a process and those it forks
  int directory_fd_ = -1, bits_fd_ = -1;
  void* memory_ = nullptr;
  void* fetch_memory_ = nullptr;
  std::size_t memory_size_ = 0;
  FetchTable fetches_;
  IndexView index_;
  Presence presence_;
};

}  // namespace pitr::demand
