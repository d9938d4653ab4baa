// Archiving in shared memory: who ships what, what was shipped ahead of the archiver, and the counters of pitr_archive.
// Plain data only. Everything is read and written under ArchiveLock() unless it says otherwise; nobody does I/O, raises or
// throws while holding it.
#pragma once

#include <cstdint>
#include <type_traits>

namespace pitr::pg {

// "000000010000000000000001.00000028.backup" and a final zero are 41.
inline constexpr int kWalNameSize = 48;
inline constexpr int kMaxArchiveWorkers = 16;  // pitr.archive_workers
// The look-ahead at its largest, and one file in hand for each worker, the archiver, the launcher and some to spare.
inline constexpr int kArchiveEntries = 1024 + 64;

enum class ArchiveEntryState : std::uint32_t {
  kFree = 0,
  kShipping,  // `pid` ships it; its death or its end frees the entry
  kShipped,   // durable in the repository, the archiver has not asked for it yet
};

// A file of pg_wal. Inode, size and time tell that what was shipped is what the archiver asks for.
struct ArchiveEntry {
  ArchiveEntryState state;
  std::int32_t pid;
  std::uint64_t pid_stamp;    // start of that process: a pid may be used again
  std::uint64_t destination;  // of kShipped: which repository and branch it went to
  std::uint64_t device, inode;
  std::int64_t size, modified_ns;
  char name[kWalNameSize];
};

struct ArchiveWorkerSlot {
  std::int32_t pid;     // 0: nobody
  std::uint64_t latch;  // Latch* of that process; setting it after its end is harmless
};

struct ArchiveShared {
  // For pitr_archive. Times are microseconds since the Unix epoch, 0 = never.
  char last_archived_wal[kWalNameSize];
  std::int64_t last_archived_at;
  char last_failed_wal[kWalNameSize];
  std::int64_t last_failed_at;
  char last_error[1024];
  std::uint64_t archived_count, failed_count, raw_bytes, stored_bytes;
  std::uint32_t timeline;  // of the last segment archived

  // One line in the log for each change of state: what fails now (a pitr::Code, 0 = nothing), since when, how often, and
  // when the log was told last.
  std::int32_t failing_code;
  std::int64_t failing_since, failing_told_at;
  std::uint64_t failing_count;
  std::uint64_t
      failing_told;  // a bit for each code that was logged since: processes that see it differently take turns
  char failing_file[kWalNameSize];  // not empty: the failure is of that file alone

  // The repository did not answer when a worker ended; 0 when one begins. Read and written without the lock.
  std::int32_t is_store_stalled;

  // Files that waited when somebody looked last: decides the compression level.
  std::int64_t ready_count, ready_counted_at;

  ArchiveWorkerSlot workers[kMaxArchiveWorkers];
  ArchiveEntry entries[kArchiveEntries];
};

static_assert(std::is_trivially_copyable_v<ArchiveShared> &&
              std::is_standard_layout_v<ArchiveShared>);

}  // namespace pitr::pg
