#include "core/demand/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/demand/control_state.h"
#include "core/demand/index_sections.h"
#include "core/demand/presence.h"

namespace pitr::demand {

namespace {

constexpr std::size_t kMaxIndexBytes = 4ULL << 30;

// The last bits of a file's words that stand for no page are 1 as well as the pages that no frame holds.
Bytes FirstBits(const IndexView& index) {
  Bytes bits(static_cast<std::size_t>(BitsFileSize(index.header())));
  const BitsHeader header = MakeBitsHeader(index.header());
  std::memcpy(bits.data(), &header, sizeof header);
  std::vector<std::uint64_t> words(static_cast<std::size_t>(index.header().words),
                                   ~std::uint64_t{0});
  for (const FileEntry& file : index.files()) {
    for (const Run& run : index.RunsOf(file)) {
      for (std::uint32_t page = run.page; page < run.page + run.pages; page++) {
        words[file.first_word + page / 64] &= ~(std::uint64_t{1} << (page % 64));
      }
    }
  }
  std::memcpy(bits.data() + BitsWordsOffset(index.header()), words.data(), words.size() * 8);
  return bits;
}

Status FindIdentities(const std::string& directory, IndexContent* content) {
  PITR_ASSIGN_OR_RETURN(const File root, File::Open(directory, O_RDONLY | O_DIRECTORY));
  for (IndexFile& file : content->files) {
    FileIdentity identity;
    const int error = LookAtFile(root.fd(), file.path.c_str(), &identity);
    if (error != 0) {
      return Status::FromErrno(error, "look at \"" + JoinPath(directory, file.path) + "\"");
    }
    file.inode = identity.inode;
    file.born_seconds = identity.born_seconds;
    file.born_nanos = identity.born_nanos;
  }
  return Status::Ok();
}

// Eight-byte aligned, as the index is looked at in place.
struct IndexBytes {
  std::vector<std::uint64_t> memory;
  ByteView view;
};

Result<IndexBytes> ReadIndexBytes(const std::string& directory) {
  const std::string path = JoinPath(directory, kIndexFile);
  PITR_ASSIGN_OR_RETURN(const File file, File::Open(path, O_RDONLY));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t size, file.Size());
  if (size > kMaxIndexBytes) {
    return Status(Code::kLimit, "\"" + path + "\" is too large");
  }
  IndexBytes bytes;
  bytes.memory.resize(static_cast<std::size_t>(size + 7) / 8);
  PITR_ASSIGN_OR_RETURN(const std::size_t got,
                        file.ReadAt(0, bytes.memory.data(), static_cast<std::size_t>(size)));
  bytes.view = {reinterpret_cast<const std::uint8_t*>(bytes.memory.data()), got};
  return bytes;
}

Result<std::uint64_t> CountAbsent(const std::string& directory, const IndexView& index) {
  const std::string path = JoinPath(directory, kBitsFile);
  PITR_ASSIGN_OR_RETURN(const Bytes bits, ReadFile(path, kMaxIndexBytes));
  BitsHeader header;
  if (bits.size() != BitsFileSize(index.header()) ||
      (std::memcpy(&header, bits.data(), sizeof header), !IsHeaderOf(header, index.header()))) {
    return Status(Code::kCorrupt, "\"" + path + "\" is not the map that belongs to its index");
  }
  std::uint64_t absent = 0;
  const std::uint8_t* words = bits.data() + BitsWordsOffset(index.header());
  for (std::uint32_t number = 0; number < index.files().size(); number++) {
    const FileEntry& file = index.files()[number];
    for (std::uint64_t i = 0; bits[sizeof header + number] == 0 && i < (file.pages + 63) / 64;
         i++) {
      std::uint64_t word = 0;
      std::memcpy(&word, words + (file.first_word + i) * 8, sizeof word);
      absent += static_cast<std::uint64_t>(std::popcount(~word));
    }
  }
  return absent;
}

}  // namespace

Result<std::optional<std::string>> SnapshotOfFolder(const std::string& directory) {
  const std::string path = JoinPath(directory, kIndexFile);
  const Result<File> file = File::Open(path, O_RDONLY);
  if (file.status().code() == Code::kNotFound) return std::optional<std::string>();
  PITR_RETURN_IF_ERROR(file.status());
  IndexHeader header = {};
  PITR_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(0, &header, sizeof header));
  if (got != sizeof header || std::memcmp(header.magic, kIndexMagic, sizeof header.magic) != 0) {
    return Status(Code::kCorrupt, "\"" + path + "\" is no index of missing pages");
  }
  return std::optional(
      std::string(header.snapshot, ::strnlen(header.snapshot, sizeof header.snapshot)));
}

bool NeedsFetching(const char* directory) noexcept {
  char path[PATH_MAX];
  std::snprintf(path, sizeof path, "%s/%s", directory, kIndexFile);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  const auto read = [fd](void* to, std::size_t size, std::uint64_t offset) {
    return ::pread(fd, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
  };
  IndexHeader header = {};
  bool is_fetched = false;
  if (read(&header, sizeof header, 0) &&
      std::memcmp(header.magic, kIndexMagic, sizeof header.magic) == 0) {
    const Sections at = SectionsOf(header);
    TextRef place = {};
    char begin[kFetchPrefix.size()] = {};
    for (std::uint32_t i = 0; !is_fetched && i < header.places; i++) {
      is_fetched = read(&place, sizeof place, at.places + i * sizeof place) &&
                   read(begin, sizeof begin, at.names + place.offset) &&
                   std::string_view(begin, sizeof begin) == kFetchPrefix;
    }
  }
  ::close(fd);
  return is_fetched;
}

int LookAtFile(int directory_fd, const char* path, FileIdentity* identity) noexcept {
  struct statx info {};
  if (::statx(directory_fd, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_SIZE | STATX_BTIME,
              &info) != 0) {
    return errno;
  }
  identity->inode = info.stx_ino;
  identity->size = info.stx_size;
  if ((info.stx_mask & STATX_BTIME) != 0) {
    identity->born_seconds = info.stx_btime.tv_sec;
    identity->born_nanos = info.stx_btime.tv_nsec;
  }
  return 0;
}

std::string MarkerText(const IndexId& id) {
  return "INCOMPLETE: do not copy, rewind, upgrade or checksum this data directory offline\n"
         "pitr_ext is still loading its relation files: until it has, most of them read as zeros "
         "without it.\n"
         "Start the server with shared_preload_libraries = 'pitr_ext' and do not remove this "
         "file;\n"
         "it goes away by itself. A base backup of the running server is complete.\n"
         "index " +
         ToHex(id) + "\n";
}

Status MakeFolder(const std::string& directory, IndexContent content, std::string_view label) {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(content.id.size()));
  std::copy(random.begin(), random.end(), content.id.begin());
  PITR_RETURN_IF_ERROR(FindIdentities(directory, &content));
  const Bytes bytes = EncodeIndex(content);
  PITR_ASSIGN_OR_RETURN(const IndexView index, IndexView::Open(bytes));
  PITR_RETURN_IF_ERROR(MakeDirectories(JoinPath(directory, kFolder)));
  std::vector<std::string> made;
  const auto write = [&](std::string_view name, ByteView content_of) {
    made.push_back(JoinPath(directory, name));
    return WriteFileLoosely(made.back(), content_of);
  };
  PITR_RETURN_IF_ERROR(write(kBitsFile, FirstBits(index)));
  PITR_RETURN_IF_ERROR(write(kIndexFile, bytes));
  if (!label.empty()) {
    PITR_RETURN_IF_ERROR(write(kLabelFile, AsBytes(label)));
  }
  PITR_FAULT("demand.folder.before_marker");
  PITR_RETURN_IF_ERROR(write(kMarkerFile, AsBytes(MarkerText(content.id))));
  // All at once: the first sync commits what the file system has in its journal, the others find nothing left to do.
  for (const std::string& path : made) {
    PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_RDONLY));
    PITR_RETURN_IF_ERROR(file.Sync());
  }
  PITR_RETURN_IF_ERROR(SyncDirectory(JoinPath(directory, kFolder)));
  return SyncDirectory(directory);
}

Result<FolderSummary> ReadFolder(const std::string& directory) {
  FolderSummary summary;
  const Result<IndexBytes> bytes = ReadIndexBytes(directory);
  if (bytes.status().code() == Code::kNotFound) {
    return summary;
  }
  PITR_RETURN_IF_ERROR(bytes.status());
  PITR_ASSIGN_OR_RETURN(const IndexView index, IndexView::Open(bytes->view));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t absent, CountAbsent(directory, index));
  summary.is_incomplete = true;
  summary.absent_bytes = absent * kPageBytes;
  summary.snapshot = index.snapshot();
  for (const TextRef& pack : index.packs()) {
    summary.packs.emplace(index.Text(pack));
  }
  return summary;
}

Status RemoveFolder(const std::string& directory) {
  if (!PathExists(JoinPath(directory, kFolder))) {
    return Status::Ok();
  }
  // A server that was stopped when nothing was missing any more, and ended before it could say so.
  PITR_RETURN_IF_ERROR(ShowShutdownOnDisk(directory));
  PITR_FAULT("demand.complete.before_marker");
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(directory, kMarkerFile)));
  PITR_RETURN_IF_ERROR(SyncDirectory(directory));
  PITR_FAULT("demand.complete.after_marker");
  PITR_RETURN_IF_ERROR(RemoveTree(JoinPath(directory, kFolder)));
  return SyncDirectory(directory);
}

}  // namespace pitr::demand
