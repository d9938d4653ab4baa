// Which pages of an incomplete data directory are there: two maps (internals 2).
//
// The working map is a byte a page in memory that all processes of a server share and that dies with them. It is made anew from the
// durable map at every start and crash cycle, so that it forgets claims and whatever was not on disk for sure.
//
// The durable map is a file with a bit a page; bits only go from 0 to 1. A bit is written after the page's data was synced, or after
// the page was cut off; and it is synced before the server writes its control file (SyncBits): only then does the place move from
// which recovery would start, and until then recovery begins at a page that is older than any change to it.
//
// Invariants
//   a page at or behind the end of its file is present in both maps (internals 3);
//   a claim is held for one write and by a process that has the bytes to write in its hands (internals 25);
//   bits in memory (words()) are durable facts: whoever writes the file writes them under the file's lock, so none is taken back.
//
// Nothing here allocates or waits for anything but claims: it is called from critical sections.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/demand/index.h"

namespace pitr::demand {

enum PageState : std::uint8_t { kAbsent = 0, kClaimed = 1, kPresent = 2 };

struct SharedHead {
  std::atomic<std::uint64_t> absent_pages;
  std::atomic<std::uint64_t> dirty,
      synced;  // writes to the durable map, and up to which it is synced
  std::atomic<std::uint32_t> is_complete;  // the directory needs nothing of ours any more
  std::atomic<std::uint32_t>
      has_failed;  // a write to the durable map did: no control file may be written
  // Why a page could not be loaded, by any process, and when. Read while it is written it may be a mix: it is for people.
  std::atomic<std::int64_t> failed_at;  // seconds
  char failure[768];
};
struct SharedFile {
  std::atomic<std::uint32_t> lock;  // of the file's part of the durable map
  std::atomic<std::uint32_t> is_dead;
};
static_assert(std::atomic<std::uint8_t>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free);

// The durable map: header, a byte a file (1: dead, its name means nothing any more), padding to eight, words of 64 pages.
struct BitsHeader {
  char magic[8];
  std::uint32_t version, files;
  IndexId id;  // of the index
  std::uint64_t words, reserved;
  std::uint64_t header_hash;
};
inline constexpr char kBitsMagic[8] = {'P', 'I', 'T', 'R', 'D', 'M', 'A', 'P'};
inline constexpr std::uint32_t kBitsVersion = 1;
std::uint64_t BitsWordsOffset(const IndexHeader& index);
std::uint64_t BitsFileSize(const IndexHeader& index);
BitsHeader MakeBitsHeader(const IndexHeader& index);
bool IsHeaderOf(const BitsHeader& bits, const IndexHeader& index);

// Bytes of shared memory for the maps of an index.
std::size_t SharedSize(const IndexHeader& index);

// All of it, through the real calls; false: errno.
bool WriteAt(int fd, const void* bytes, std::size_t size, std::uint64_t offset) noexcept;

class Presence {
 public:
  Presence() = default;
  // `memory`: SharedSize() bytes, all zero the first time, eight-byte aligned; `bits_fd`: the durable map, open for writing.
  Presence(const IndexView& index, void* memory, int bits_fd);

  SharedHead& head() const noexcept { return *head_; }
  bool IsDead(std::uint32_t file) const noexcept {
    return files_[file].is_dead.load(std::memory_order_acquire) != 0;
  }
  std::uint8_t State(const FileEntry& file, std::uint32_t page) const noexcept {
    return states_[file.first_page + page].load(std::memory_order_acquire);
  }

  // -- claims. Waiting gives up after some minutes: false, errno EIO.
  bool TryClaim(const FileEntry& file, std::uint32_t page) const noexcept;
  bool WaitUnclaimed(const FileEntry& file, std::uint32_t page) const noexcept;
  // Afterwards every page of [first, end) is present or claimed by the caller. On false nothing is claimed.
  bool ClaimAll(const FileEntry& file, std::uint32_t first, std::uint32_t end) const noexcept;
  // What is claimed in [first, end), by the caller, is present, or absent again.
  void Settle(const FileEntry& file, std::uint32_t first, std::uint32_t end,
              PageState to) const noexcept;

  // -- the durable map
  // Copies which pages are present into `words` ((pages + 63) / 64 of them); false: none that is not durable already.
  bool Snapshot(const FileEntry& file, std::uint64_t* words) const noexcept;
  // Those of `words` are durable: the data was synced after Snapshot, or they were cut off.
  bool Record(std::uint32_t number, std::uint64_t* words) const noexcept;
  bool RecordRange(std::uint32_t number, std::uint32_t first, std::uint32_t end) const noexcept;
  // The file's name means nothing any more. All its pages must be present.
  bool RecordDead(std::uint32_t number) const noexcept;
  // DURABLE: everything recorded so far. Costs nothing when nothing was. False: errno.
  bool SyncBits() const noexcept;
  bool IsFull(std::uint32_t number) const noexcept;  // dead, or every page durable

  // -- the start of a server: not shared yet.
  void SetStates(const FileEntry& file, std::uint32_t first, std::uint32_t count,
                 PageState state) const noexcept;
  std::uint64_t* RawWords() const noexcept { return reinterpret_cast<std::uint64_t*>(words_); }
  void SetDead(std::uint32_t number) const noexcept { files_[number].is_dead = 1; }

 private:
  bool WriteWords(const FileEntry& file, std::size_t first, std::size_t end) const noexcept;
  bool Lock(std::uint32_t number) const noexcept;
  void Unlock(std::uint32_t number) const noexcept;
  bool Failed() const noexcept;

  IndexView index_;
  SharedHead* head_ = nullptr;
  SharedFile* files_ = nullptr;
  std::atomic<std::uint64_t>* words_ = nullptr;
  std::atomic<std::uint8_t>* states_ = nullptr;
  int bits_fd_ = -1;
};

}  // namespace pitr::demand
