#include "core/demand/directory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/file.h"

namespace pitr::demand {

namespace {

constexpr std::size_t kMaxMarker = 4096;

Status NotOurs(std::string what) {
  return Status(Code::kCorrupt, "the incomplete data directory is not as pitr_ext left it")
      .WithDetail(std::move(what))
      .WithHint(
          "It was copied, rewound or changed by another program while pages were missing. Restore "
          "it again.");
}

std::atomic<std::uint64_t> generations = 0;

std::size_t Padded(std::uint64_t size) { return static_cast<std::size_t>((size + 7) & ~7ULL); }

}  // namespace

Directory::Directory(std::string path, FrameSource* source)
    : path_(std::move(path)), source_(source), generation_(++generations) {}

Result<std::unique_ptr<Directory>> Directory::Open(const std::string& path, FrameSource* source) {
  std::unique_ptr<Directory> directory(new Directory(path, source));
  if (!PathExists(JoinPath(path, kFolder))) {
    return std::unique_ptr<Directory>();
  }
  directory->directory_fd_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory->directory_fd_ < 0) {
    return Status::FromErrno(errno, "open \"" + path + "\"");
  }
  if (!PathExists(JoinPath(path, kIndexFile)) && !PathExists(JoinPath(path, kMarkerFile))) {
    // Completed; only the last of the folder's files was not taken away.
    PITR_RETURN_IF_ERROR(RemoveFolder(path));
    return std::unique_ptr<Directory>();
  }
  PITR_RETURN_IF_ERROR(directory->ReadIndex());
  PITR_RETURN_IF_ERROR(directory->MakeFetches());
  PITR_RETURN_IF_ERROR(directory->ReadMaps());
  PITR_RETURN_IF_ERROR(directory->LookAtFiles());
  if (directory->presence_.head().absent_pages == 0) {
    std::uint32_t number = 0;
    const auto files = static_cast<std::uint32_t>(directory->index_.files().size());
    while (number < files && directory->presence_.IsFull(number)) {
      number++;
    }
    if (number == files) {
      PITR_RETURN_IF_ERROR(RemoveFolder(path));
      return std::unique_ptr<Directory>();
    }
  }
  PITR_RETURN_IF_ERROR(directory->CheckMarker());
  return directory;
}

Directory::~Directory() {
  if (memory_ != nullptr) ::munmap(memory_, memory_size_);
  if (fetch_memory_ != nullptr) ::munmap(fetch_memory_, FetchTable::SharedSize());
  if (bits_fd_ >= 0) ::close(bits_fd_);
  if (directory_fd_ >= 0) ::close(directory_fd_);
}

// Copied, not mapped: a file that somebody cuts must not end processes by SIGBUS.
Status Directory::ReadIndex() {
  const std::string path = JoinPath(path_, kIndexFile);
  Result<File> file = File::Open(path, O_RDONLY);
  if (file.status().code() == Code::kNotFound) {
    return NotOurs("\"" + path + "\" is missing.");
  }
  PITR_RETURN_IF_ERROR(file.status());
  PITR_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
  IndexHeader header;
  PITR_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(0, &header, sizeof header));
  if (got != sizeof header || header.total_size != size) {
    return Status(Code::kCorrupt,
                  "\"" + path + "\" is damaged: it has " + std::to_string(size) + " bytes");
  }
  // Before its checksum was looked at: the numbers decide how much memory is asked for.
  constexpr std::uint64_t kMostPages = 1ULL << 36;
  if (header.pages > kMostPages || header.words > kMostPages) {
    return Status(Code::kCorrupt, "\"" + path + "\" is damaged: impossible numbers");
  }
  memory_size_ = Padded(size) + SharedSize(header);
  memory_ =
      ::mmap(nullptr, memory_size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;
    return Status(Code::kOutOfMemory, "no memory for the map of missing pages: " +
                                          std::to_string(memory_size_) + " bytes");
  }
  PITR_ASSIGN_OR_RETURN(const std::size_t all,
                        file->ReadAt(0, memory_, static_cast<std::size_t>(size)));
  Result<IndexView> index = IndexView::Open({static_cast<const std::uint8_t*>(memory_), all});
  if (!index.ok()) {
    return std::move(index).status().Prefix("\"" + path + "\"");
  }
  if (SharedSize(index->header()) != SharedSize(header)) {
    return Status(Code::kCorrupt, "\"" + path + "\" changed while it was read");
  }
  index_ = *index;
  return Status::Ok();
}

// Its pages are touched when frames come, so that it costs little where they do not.
Status Directory::MakeFetches() {
  if (!HasFetchedPlaces(index_)) {
    return Status::Ok();
  }
  void* memory = ::mmap(nullptr, FetchTable::SharedSize(), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Status(Code::kOutOfMemory, "no memory for frames that are fetched: " +
                                          std::to_string(FetchTable::SharedSize()) + " bytes");
  }
  fetch_memory_ = memory;
  fetches_ = FetchTable(memory);
  return Status::Ok();
}

Status Directory::ReadMaps() {
  bits_fd_ = ::openat(directory_fd_, kBitsFile, O_RDWR | O_CLOEXEC);
  if (bits_fd_ < 0) {
    return Status::FromErrno(errno, "open \"" + JoinPath(path_, kBitsFile) + "\"");
  }
  presence_ = Presence(
      index_, static_cast<std::uint8_t*>(memory_) + Padded(index_.header().total_size), bits_fd_);
  return ReadBits();
}

Status Directory::ReadBits() {
  const std::string path = JoinPath(path_, kBitsFile);
  const File bits(::fcntl(bits_fd_, F_DUPFD_CLOEXEC, 0));
  BitsHeader header;
  std::vector<std::uint8_t> dead(index_.files().size());
  PITR_ASSIGN_OR_RETURN(const std::uint64_t size, bits.Size());
  PITR_ASSIGN_OR_RETURN(const std::size_t got, bits.ReadAt(0, &header, sizeof header));
  if (size != BitsFileSize(index_.header()) || got != sizeof header ||
      !IsHeaderOf(header, index_.header())) {
    return Status(Code::kCorrupt, "\"" + path + "\" is not the map that belongs to its index");
  }
  const std::size_t words = static_cast<std::size_t>(index_.header().words) * 8;
  PITR_ASSIGN_OR_RETURN(const std::size_t flags,
                        bits.ReadAt(sizeof header, dead.data(), dead.size()));
  PITR_ASSIGN_OR_RETURN(const std::size_t read,
                        bits.ReadAt(BitsWordsOffset(index_.header()), presence_.RawWords(), words));
  if (flags != dead.size() || read != words) {
    return Status(Code::kCorrupt, "\"" + path + "\" ends too early");
  }
  for (std::uint32_t number = 0; number < dead.size(); number++) {
    if (dead[number] != 0) {
      presence_.SetDead(number);
    }
  }
  return Status::Ok();
}

// Anything else in its place was put there by somebody who knows nothing of missing pages (internals 5).
Status Directory::CheckMarker() const {
  const std::string path = JoinPath(path_, kMarkerFile);
  const Result<std::string> text = ReadTextFile(path, kMaxMarker);
  if (text.status().code() == Code::kNotFound) {
    return NotOurs("\"" + path + "\" is missing.");
  }
  if (!text.ok() || *text != MarkerText(index_.header().id)) {
    return NotOurs("\"" + path + "\" is not the one that pitr_ext wrote.");
  }
  return Status::Ok();
}

Status Directory::LookAtFiles() {
  const auto files = static_cast<std::uint32_t>(index_.files().size());
  for (std::uint32_t number = 0; number < files; number++) {
    PITR_RETURN_IF_ERROR(LookAtFile(number));
  }
  if (!presence_.SyncBits()) {
    return Status::FromErrno(errno, "write \"" + JoinPath(path_, kBitsFile) + "\"");
  }
  return Status::Ok();
}

Status Directory::LookAtFile(std::uint32_t number) {
  const FileEntry& file = index_.files()[number];
  FileIdentity now;
  std::uint64_t end = 0;  // pages behind it are present
  if (!presence_.IsDead(number)) {
    const int error = demand::LookAtFile(directory_fd_, index_.Chars(file.path), &now);
    if (error != 0 && error != ENOENT && error != ENOTDIR) {
      return Status::FromErrno(error, "look at \"" + std::string(index_.Text(file.path)) + "\"");
    }
    // Not there any more: its removal reached the disk, the note of it did not.
    if (error != 0 && !presence_.RecordDead(number)) {
      return Status::FromErrno(errno, "write \"" + JoinPath(path_, kBitsFile) + "\"");
    }
    const bool has_birth = file.born_seconds != 0 && now.born_seconds != 0;
    if (error == 0 &&
        (now.inode != file.inode || (has_birth && (now.born_seconds != file.born_seconds ||
                                                   now.born_nanos != file.born_nanos)))) {
      return NotOurs("File \"" + std::string(index_.Text(file.path)) +
                     "\" is another one than the one that was laid out.");
    }
    end = error == 0 ? std::min<std::uint64_t>(now.size / kPageBytes, file.pages) : 0;
  }
  if (!presence_.IsDead(number) && end < file.pages &&
      !presence_.RecordRange(number, static_cast<std::uint32_t>(end), file.pages)) {
    return Status::FromErrno(errno, "write \"" + JoinPath(path_, kBitsFile) + "\"");
  }
  const std::uint64_t* words = presence_.RawWords() + file.first_word;
  std::uint64_t absent = 0;
  // Mostly whole words are of one kind, and there are millions of pages while nobody can connect. Absent is what the memory says.
  for (std::uint32_t first = 0; first < file.pages; first += 64) {
    const std::uint32_t count = std::min<std::uint32_t>(64, file.pages - first);
    std::uint64_t there = words[first / 64];
    if (first + std::uint64_t{count} > end) {
      there |= first >= end ? ~std::uint64_t{0} : ~std::uint64_t{0} << (end - first);
    }
    if (there == ~std::uint64_t{0}) {
      presence_.SetStates(file, first, count, kPresent);
      continue;
    }
    for (std::uint32_t page = 0; there != 0 && page < count; page++) {
      if ((there >> page & 1) != 0) presence_.SetStates(file, first + page, 1, kPresent);
    }
    const std::uint64_t counted = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    absent += static_cast<std::uint64_t>(std::popcount(~there & counted));
  }
  presence_.head().absent_pages += absent;
  return Status::Ok();
}

}  // namespace pitr::demand
