// What a snapshot consists of: a complete map from every file's pages to frames, never a chain to walk.
// Stored as snapshots/<id>/manifest (kind kManifest), written last: a snapshot without manifest does not exist.
// Format: doc/snapshot-format.md.
//
// A frame holds up to kFramePages pages (or bytes of files that are no relations), possibly of several small
// files, as one zstd frame at an offset of a pack. A pack is a plain concatenation of frames with a 64-byte
// head; frames of other snapshots' packs may be referred to (increments), so `packs` lists names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"

namespace pitr {

inline constexpr std::uint32_t kPageSize = 8192;  // BLCKSZ; another block size is refused
inline constexpr std::uint32_t kFramePages = 32;
inline constexpr std::uint32_t kFrameSize = kPageSize * kFramePages;  // 256 KiB
inline constexpr std::uint64_t kPackTarget = 64ULL << 20;
inline constexpr std::size_t kPackHeadSize = 64;
inline constexpr std::uint32_t kMaxPackNumber = 999999;  // six digits in the object's name

struct PackRef {
  SnapshotId snapshot;
  std::uint32_t number = 0;
};

struct Frame {
  std::uint32_t pack = 0;    // index in packs
  std::uint64_t offset = 0;  // in the pack object
  std::uint32_t packed_size = 0, plain_size = 0;
  std::uint64_t plain_hash = 0;  // XXH3 of the plain bytes
  bool stored = false;           // not compressed
};

// `length` bytes of a file at `file_offset` are `length` bytes of frame `frame` at `frame_offset`.
// For relation files all three are multiples of the page size.
struct Extent {
  std::uint64_t file_offset = 0;
  std::uint32_t frame = 0, frame_offset = 0, length = 0;
};

enum class FileKind : std::uint8_t { kDirectory = 1, kPlain = 2, kRelation = 3, kSymlink = 4 };

struct ManifestFile {
  // Relative to the data directory, "/" separated: base/5/1259, pg_tblspc/16400/PG_15_…/5/16401
  std::string path;
  FileKind kind = FileKind::kPlain;
  std::uint32_t mode = 0600;
  std::uint64_t size = 0;
  std::string link_target;      // kSymlink
  std::vector<Extent> extents;  // ascending, without overlap; bytes in no extent are zero
};

struct BadPage {
  std::string path;
  std::uint32_t block = 0;  // within the file
};

// The values of pg_control at the start that recovery compares (internals 6).
struct ControlSettings {
  std::int32_t max_connections = 0, max_worker_processes = 0, max_wal_senders = 0,
               max_prepared_transactions = 0, max_locks_per_transaction = 0, wal_level = 1;
  bool wal_log_hints = false, track_commit_timestamp = false;
  std::uint32_t data_checksum_version = 0;
};

struct Manifest {
  SnapshotId id;
  std::string name;
  BranchId branch;
  RootIdentity root;
  std::string kind = "full", origin = "manual";
  std::optional<SnapshotId> based_on;
  TimelineId timeline = 0;
  Lsn start_lsn, stop_lsn;  // of the backup: redo of its checkpoint, and where it is consistent
  Timestamp started_at, finished_at;
  std::optional<Timestamp> expires_at;
  bool from_standby = false;
  std::string backup_label, tablespace_map;
  ControlSettings control;
  std::uint64_t database_bytes = 0;  // plain bytes of files
  std::uint64_t new_bytes = 0;       // stored bytes of frames written by this snapshot
  std::uint64_t stored_bytes = 0;    // stored bytes of all frames it refers to
  std::vector<PackRef> packs;
  std::vector<Frame> frames;
  std::vector<ManifestFile> files;  // parents before children
  std::vector<BadPage> bad_pages;
  std::string State() const { return bad_pages.empty() ? "ok" : "ok_with_bad_pages"; }
};

// kCorrupt unless extents, frames, packs and paths fit together: no ".." or absolute path, every parent listed before
// its children, symlinks only at pg_tblspc/<oid>, extents ascending and within their file and frame.
Status CheckManifest(const Manifest& manifest);

// REQUIRES: CheckManifest(manifest) is OK. level 0 leaves the body uncompressed.
Bytes EncodeManifest(const Manifest& manifest, int level = 3);
// kCorrupt for anything that CheckManifest refuses, kUnsupported for a newer format.
Result<Manifest> DecodeManifest(ByteView bytes);
// Everything but packs, frames, files and bad_pages (their count is kept in bad_page_count).
struct ManifestHead {
  Manifest manifest;
  std::uint64_t bad_page_count = 0, file_count = 0, frame_count = 0, pack_count = 0;
  std::uint64_t manifest_bytes = 0;  // encoded
  std::uint64_t body_bytes = 0;      // of these, what follows the head
  std::string State() const { return bad_page_count == 0 ? "ok" : "ok_with_bad_pages"; }
};
// Of a whole manifest or of its first part: what follows the head is not looked at.
Result<ManifestHead> DecodeManifestHead(ByteView bytes);

// DURABLE, last. kCorrupt, and nothing written, when CheckManifest refuses it.
Status WriteManifest(Repository* repo, const Manifest& manifest);
Result<Manifest> ReadManifest(Repository* repo, const SnapshotId& id);  // kNotFound
// All snapshots whose manifest is readable, oldest start first; damaged ones are listed in `damaged` (may be null).
Result<std::vector<ManifestHead>> ListSnapshots(Repository* repo,
                                                std::vector<std::string>* damaged);

}  // namespace pitr
