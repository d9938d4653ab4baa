// The part of Directory that runs in a server's processes.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <exception>

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/demand/directory.h"

namespace pitr::demand {

namespace {

constexpr std::uint32_t kNoFrame = ~std::uint32_t{0};
// Frames that are asked for ahead when a file is read in order.
constexpr int kReadAhead = 8;
// It is read in order when that many frames before have come already: one may be there by chance.
constexpr int kBefore = 2;

// Memory of one thread; a server's process has one.
struct Scratch {
  std::uint8_t* packed = nullptr;  // kMaxPackedBytes
  std::uint8_t* plain = nullptr;   // kMaxFrameBytes, of `frame`
  std::uint64_t* words = nullptr;  // of the largest file
  std::uint64_t owner = 0;         // generation of the directory
  std::uint32_t frame = kNoFrame;
  const Run* next_run = nullptr;  // behind the one that was loaded last, in the same file
  std::size_t size = 0;
  FetchFailure failure = {};
  bool has_failed = false;
};
thread_local constinit Scratch scratch;

std::uint32_t Clip(std::uint64_t page, const FileEntry& file) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(page, file.pages));
}

}  // namespace

FetchFailure* Directory::LastFailure() noexcept { return &scratch.failure; }
bool Directory::HasFailure() noexcept { return scratch.has_failed; }
void Directory::ForgetFailure() noexcept { scratch.has_failed = false; }

// What the thread has said becomes known to all.
int Directory::Failed(int error) const noexcept {
  scratch.has_failed = true;
  SharedHead& head = presence_.head();
  static_assert(sizeof head.failure == sizeof scratch.failure.text);
  std::memcpy(head.failure, scratch.failure.text, sizeof head.failure - 1);
  head.failed_at = ::time(nullptr);
  return error;
}

const char* Directory::RecentFailure() const noexcept {
  constexpr std::int64_t kRecent = 60;
  const SharedHead& head = presence_.head();
  return ::time(nullptr) - head.failed_at < kRecent ? head.failure : nullptr;
}

int Directory::errno_or_eio() noexcept { return errno != 0 ? errno : EIO; }

int Directory::Reserve() const noexcept {
  std::uint32_t most = 0;
  if (scratch.owner == generation_) {
    return 0;
  }
  for (const FileEntry& file : index_.files()) {
    most = std::max(most, file.pages);
  }
  if (scratch.packed != nullptr) {
    ::munmap(scratch.packed, scratch.size);
    scratch.packed = nullptr;
    scratch.owner = 0;
  }
  constexpr std::size_t kPacked = (kMaxPackedBytes + 4095) & ~4095U;
  scratch.size = kPacked + kMaxFrameBytes + (most + 63) / 64 * sizeof(std::uint64_t);
  void* memory =
      ::mmap(nullptr, scratch.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return ENOMEM;
  }
  scratch.packed = static_cast<std::uint8_t*>(memory);
  scratch.plain = scratch.packed + kPacked;
  scratch.words = reinterpret_cast<std::uint64_t*>(scratch.plain + kMaxFrameBytes);
  scratch.frame = kNoFrame;
  scratch.next_run = nullptr;
  scratch.owner = generation_;
  // The decompressor makes its context at its first use.
  const std::uint8_t nothing = 0;
  std::uint8_t out = 0;
  (void)DecompressBlock({&nothing, 1}, false, &out, 1);
  return 0;
}

bool Directory::ReadPacked(std::uint32_t frame, std::uint32_t place) const noexcept {
  return IsFetched(index_, place)
             ? fetches_.Fetch(index_, frame, place, scratch.packed, &scratch.failure)
             : source_->Read(index_, frame, place, scratch.packed, &scratch.failure);
}

int Directory::Decode(std::uint32_t frame) const noexcept {
  if (scratch.frame == frame) {
    return 0;
  }
  const FrameEntry& entry = index_.frames()[frame];
  scratch.frame = kNoFrame;
  for (std::uint32_t place = 0; place < source_->places(index_); place++) {
    if (!ReadPacked(frame, place)) {
      continue;
    }
    bool is_good = false;
    try {
      is_good = DecompressBlock({scratch.packed, entry.packed_size}, entry.is_stored != 0,
                                scratch.plain, entry.plain_size)
                    .ok() &&
                Xxh3({scratch.plain, entry.plain_size}) == entry.hash;
    } catch (const std::exception&) {  // no memory for the text of an error
    }
    if (is_good) {
      scratch.frame = frame;
      return 0;
    }
    if (IsFetched(index_, place)) fetches_.Forget(frame, place);
    Say(&scratch.failure,
        "the frame at offset %llu of pack \"%s\" in repository \"%s\" is damaged: expected "
        "checksum %016llx",
        static_cast<unsigned long long>(entry.offset), index_.Chars(index_.packs()[entry.pack]),
        index_.Chars(index_.places()[place]), static_cast<unsigned long long>(entry.hash));
  }
  if (source_->places(index_) == 0) {
    Say(&scratch.failure, "no repository is known to hold the pages");
  }
  return Failed(EIO);
}

// Those of the run's pages that nobody has: each stretch is claimed, written and settled. Never waits.
int Directory::WriteRun(std::uint32_t number, int fd, const Run& run) const noexcept {
  const FileEntry& file = index_.files()[number];
  const std::uint8_t* bytes = scratch.plain + std::size_t{run.frame_page} * kPageBytes;
  const std::uint32_t run_end = run.page + run.pages;
  for (std::uint32_t page = run.page; page < run_end;) {
    if (!presence_.TryClaim(file, page)) {
      page++;
      continue;
    }
    std::uint32_t end = page + 1;
    while (end < run_end && presence_.TryClaim(file, end)) {
      end++;
    }
    (void)PITR_FAULT_PLAIN("demand.fetch.claimed");
    const bool is_written =
        WriteAt(fd, bytes + std::size_t{page - run.page} * kPageBytes,
                std::size_t{end - page} * kPageBytes, std::uint64_t{page} * kPageBytes);
    const int error = errno;
    (void)PITR_FAULT_PLAIN("demand.fetch.written");
    presence_.Settle(file, page, end, is_written ? kPresent : kAbsent);
    if (!is_written) {
      Say(&scratch.failure, "could not write pages to \"%s\": %s", index_.Chars(file.path),
          std::strerror(error));
      return Failed(error);
    }
    page = end;
  }
  return 0;
}

void Directory::ExpectFrame(std::uint32_t frame) const noexcept {
  if (fetches_ && source_->places(index_) > 0 && IsFetched(index_, 0)) fetches_.Expect(frame, 0);
}

void Directory::Expect(std::uint32_t number, std::uint64_t first,
                       std::uint64_t end) const noexcept {
  if (!fetches_) return;
  const FileEntry& file = index_.files()[number];
  for (std::uint32_t page = Clip(first, file); page < Clip(end, file);) {
    const Run* run = presence_.State(file, page) == kAbsent ? index_.FindRun(file, page) : nullptr;
    if (run != nullptr) ExpectFrame(run->frame);
    page = run != nullptr ? run->page + run->pages : page + 1;
  }
}

// Several processes may read one file in order together: a parallel scan, or the I/O workers that the server hands a scan's reads to, one after
// the other. So it counts what has been loaded or is on its way, whoever asked.
bool Directory::IsReadInOrder(const FileEntry& file, const Run* run) const noexcept {
  const Run* const begin = index_.RunsOf(file).data();
  if (run - begin < kBefore) return false;
  for (const Run* before = run - kBefore; before < run; before++) {
    if (presence_.State(file, before->page) == kAbsent && !fetches_.Knows(before->frame, 0)) {
      return false;
    }
  }
  return true;
}

// A file that is read in order goes on like that.
void Directory::ReadAhead(std::uint32_t number, const Run* run) const noexcept {
  if (!fetches_) return;
  const FileEntry& file = index_.files()[number];
  const std::span<const Run> runs = index_.RunsOf(file);
  const Run* const end = runs.data() + runs.size();
  const bool in_order = scratch.next_run == run || IsReadInOrder(file, run);
  scratch.next_run = run + 1;
  for (int i = 1; in_order && i <= kReadAhead && run + i < end; i++) {
    if (presence_.State(file, run[i].page) == kAbsent) ExpectFrame(run[i].frame);
  }
}

// Through a descriptor of its own: the caller's may be for reading only, or bypass the page cache (internals 24).
int Directory::LoadFrame(std::uint32_t number, const Run& run) const noexcept {
  if (const int error = Reserve(); error != 0) {
    Say(&scratch.failure, "no memory to load pages with");
    return Failed(error);
  }
  ReadAhead(number, &run);
  if (const int error = Decode(run.frame); error != 0) {
    return error;
  }
  const char* path = index_.Chars(index_.files()[number].path);
  const int fd = ::openat(directory_fd_, path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    // Dropped a moment ago, and nothing is missing of it any more.
    if (error == ENOENT && presence_.IsDead(number)) return 0;
    Say(&scratch.failure, "could not open \"%s\" to load pages: %s", path, std::strerror(error));
    return Failed(error);
  }
  // Increments scatter a file's pages over frames; neighbours in the same one come along.
  const std::span<const Run> runs = index_.RunsOf(index_.files()[number]);
  const Run* first = &run;
  while (first != runs.data() && (first - 1)->frame == run.frame) {
    first--;
  }
  int error = 0;
  for (const Run* each = first;
       error == 0 && each != runs.data() + runs.size() && each->frame == run.frame; each++) {
    error = WriteRun(number, fd, *each);
  }
  ::close(fd);
  return error;
}

int Directory::Load(std::uint32_t number, std::uint64_t first, std::uint64_t end) const noexcept {
  const FileEntry& file = index_.files()[number];
  const std::uint32_t last = Clip(end, file);
  for (std::uint32_t page = Clip(first, file); page < last; page++) {
    for (std::uint8_t state = presence_.State(file, page); state != kPresent;
         state = presence_.State(file, page)) {
      if (state == kClaimed) {
        if (!presence_.WaitUnclaimed(file, page)) {
          Say(&scratch.failure, "another process did not end its write to \"%s\"",
              index_.Chars(file.path));
          return Failed(EIO);
        }
        continue;
      }
      const Run* run = index_.FindRun(file, page);
      if (run == nullptr) {  // in no frame: it is zero, and was present from the beginning
        Say(&scratch.failure, "page %u of \"%s\" is in no frame", page, index_.Chars(file.path));
        return Failed(EIO);
      }
      if (const int error = LoadFrame(number, *run); error != 0) {
        return error;
      }
    }
  }
  return 0;
}

int Directory::LoadAll(std::uint32_t number) const noexcept {
  return Load(number, 0, index_.files()[number].pages);
}

int Directory::BeginWrite(std::uint32_t number, std::uint64_t first,
                          std::uint64_t end) const noexcept {
  const FileEntry& file = index_.files()[number];
  return presence_.ClaimAll(file, Clip(first, file), Clip(end, file)) ? 0 : errno_or_eio();
}

void Directory::EndWrite(std::uint32_t number, std::uint64_t first, std::uint64_t end,
                         std::uint64_t written) const noexcept {
  const FileEntry& file = index_.files()[number];
  const std::uint32_t done = Clip(first + written, file);
  presence_.Settle(file, Clip(first, file), done, kPresent);
  presence_.Settle(file, done, Clip(end, file), kAbsent);
}

int Directory::BeginCut(std::uint32_t number, std::uint64_t page) const noexcept {
  return BeginWrite(number, page, index_.files()[number].pages);
}

// In the durable map as well: the file may grow again without a trace in WAL, and what it has then must not be taken for missing
// (internals 3). It need not be synced before the control file is written: until then recovery begins before the record of this cut.
void Directory::EndCut(std::uint32_t number, std::uint64_t page, bool was_cut) const noexcept {
  const FileEntry& file = index_.files()[number];
  EndWrite(number, page, file.pages, was_cut ? file.pages : 0);
  if (was_cut) {
    (void)presence_.RecordRange(number, Clip(page, file), file.pages);
  }
}

int Directory::Drop(std::uint32_t number) const noexcept {
  if (presence_.IsDead(number)) {
    return 0;
  }
  const FileEntry& file = index_.files()[number];
  if (const int error = BeginWrite(number, 0, file.pages); error != 0) {
    return error;
  }
  EndWrite(number, 0, file.pages, file.pages);
  return presence_.RecordDead(number) ? 0 : errno_or_eio();
}

int Directory::Sync(std::uint32_t number, int fd) const noexcept {
  const FileEntry& file = index_.files()[number];
  bool has_new = false;
  if (!presence_.IsDead(number)) {
    // Without the memory nothing could be noted, and the server would go on as if it were.
    if (const int error = Reserve(); error != 0) {
      errno = error;
      return -1;
    }
    // What is written from here on is not covered by this fsync.
    has_new = presence_.Snapshot(file, scratch.words);
  }
  if (::fsync(fd) != 0) {
    return -1;
  }
  return !has_new || presence_.Record(number, scratch.words) ? 0 : -1;
}

int Directory::SyncAll() const noexcept {
  const auto files = static_cast<std::uint32_t>(index_.files().size());
  for (std::uint32_t number = 0; number < files; number++) {
    if (presence_.IsFull(number)) {
      continue;
    }
    if (const int error = Reserve(); error != 0) {
      return error;
    }
    if (!presence_.Snapshot(index_.files()[number], scratch.words)) {
      continue;
    }
    const int fd =
        ::openat(directory_fd_, index_.Chars(index_.files()[number].path), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
      if (errno == ENOENT && presence_.IsDead(number)) continue;
      return errno;
    }
    const int error = Sync(number, fd) == 0 ? 0 : errno_or_eio();
    ::close(fd);
    if (error != 0) return error;
  }
  return SyncBits();
}

}  // namespace pitr::demand
