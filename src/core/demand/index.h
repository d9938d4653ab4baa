// The index of an incomplete data directory: which relation files are to be loaded, and where each of their pages lies in the
// packs. Written once, when the directory is laid out, and never changed. Format: doc/presence-format.md.
//
// It is read in place: the postmaster holds its bytes in shared memory, and whoever misses a page looks here, perhaps in a
// critical section. So what is on disk is what is looked at, and everything is checked once, when it is opened.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr::demand {

inline constexpr std::uint32_t kPageBytes = 8192;
inline constexpr std::uint32_t kMaxFrameBytes = 256U << 10;
// A frame that does not shrink is stored as it is; a little is left for what zstd may add.
inline constexpr std::uint32_t kMaxPackedBytes = kMaxFrameBytes + 4096;

// Of a place: an absolute path is a folder that holds the packs as they are; else this stands before the address of a repository,
// which fetch workers open.
inline constexpr std::string_view kFetchPrefix = "fetch:";

using IndexId = std::array<std::uint8_t, 16>;

// -- what is on disk, little-endian, each section at a multiple of eight ---------------------------------------------------
struct IndexHeader {
  char magic[8];
  std::uint32_t version, header_size;
  IndexId id;
  char snapshot[64];  // id of the snapshot that was laid out, zeros behind it
  std::uint32_t places, packs, frames, files, runs, slots;
  std::uint64_t pages, words, names_size, total_size;
  std::uint64_t body_hash;    // XXH3 of everything behind the header
  std::uint64_t header_hash;  // XXH3 of the header before this field
};
struct TextRef {
  std::uint32_t offset, size;  // in the names
};
struct FrameEntry {
  std::uint64_t offset, hash;  // in the pack; XXH3 of the plain bytes
  std::uint32_t pack, packed_size, plain_size, is_stored;
};
struct FileEntry {
  TextRef path;  // relative to the data directory
  std::uint32_t pages, first_run, run_count, born_nanos;
  std::uint64_t first_page, first_word;  // in the two maps
  std::uint64_t inode;
  std::int64_t born_seconds;  // with the nanoseconds 0: the file system does not say
};
// `pages` pages of a file, from page `page` on, are those of frame `frame` from its page `frame_page` on.
struct Run {
  std::uint32_t page, pages, frame, frame_page;
};

class IndexView {
 public:
  IndexView() = default;
  // kCorrupt when anything does not fit, kUnsupported for another version. REQUIRES: eight-byte alignment; the bytes stay.
  static Result<IndexView> Open(ByteView bytes);

  const IndexHeader& header() const noexcept { return *header_; }
  std::span<const TextRef> places() const noexcept { return places_; }
  std::span<const TextRef> packs() const noexcept { return packs_; }  // object names
  std::span<const FrameEntry> frames() const noexcept { return frames_; }
  std::span<const FileEntry> files() const noexcept { return files_; }
  std::span<const Run> RunsOf(const FileEntry& file) const noexcept {
    return runs_.subspan(file.first_run, file.run_count);
  }
  std::string_view Text(TextRef ref) const noexcept { return names_.substr(ref.offset, ref.size); }
  // As Text; it has a zero behind it.
  const char* Chars(TextRef ref) const noexcept { return names_.data() + ref.offset; }
  std::string_view snapshot() const noexcept;

  std::optional<std::uint32_t> FindFile(std::string_view path) const noexcept;
  // Of a page that is in one; nullptr for a page that no frame holds: it is zero.
  const Run* FindRun(const FileEntry& file, std::uint32_t page) const noexcept;

 private:
  Status CheckHeader(ByteView bytes) const;
  Status Take(ByteView bytes);
  Status CheckTexts() const;
  Status CheckFrames() const;
  Status CheckFiles() const;
  Status CheckRuns(const FileEntry& file) const;
  bool IsText(TextRef ref) const noexcept;

  const IndexHeader* header_ = nullptr;
  std::span<const TextRef> places_, packs_;
  std::span<const FrameEntry> frames_;
  std::span<const FileEntry> files_;
  std::span<const Run> runs_;
  std::span<const std::uint32_t> slots_;  // hash table: number of the file + 1, or 0
  std::string_view names_;
};

// -- writing ---------------------------------------------------------------------------------------------------------------
struct IndexFrame {
  std::uint32_t pack = 0;
  std::uint64_t offset = 0, hash = 0;
  std::uint32_t packed_size = 0, plain_size = 0;
  bool is_stored = false;
};
struct IndexFile {
  std::string path;
  std::uint32_t pages = 0;
  std::vector<Run> runs;  // ascending
  std::uint64_t inode = 0;
  std::int64_t born_seconds = 0;
  std::uint32_t born_nanos = 0;
};
struct IndexContent {
  IndexId id = {};
  std::string snapshot;
  std::vector<std::string> places, packs;  // folders; object names below them
  std::vector<IndexFrame> frames;
  std::vector<IndexFile> files;
};
// REQUIRES: what IndexView::Open demands of the numbers.
Bytes EncodeIndex(const IndexContent& content);

}  // namespace pitr::demand
