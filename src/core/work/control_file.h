// global/pg_control of PostgreSQL 15 to 18: what a cluster is and where its last checkpoint lies.
#pragma once

#include <cstdint>
#include <string>

#include "core/repo/manifest.h"

namespace pitr {

inline constexpr std::size_t kControlFileSize = 8192;  // PG_CONTROL_FILE_SIZE

// DBState, src/include/catalog/pg_control.h (15, 17, 18)
enum class ClusterState : std::uint32_t {
  kStartup = 0,
  kShutDown = 1,
  kShutDownInRecovery = 2,
  kShuttingDown = 3,
  kInCrashRecovery = 4,
  kInArchiveRecovery = 5,
  kInProduction = 6,
};

struct ControlFile {
  std::uint64_t system_identifier = 0;
  std::uint32_t control_version = 0;  // 1300 (13 to 16), 1700, 1800
  std::uint32_t catalog_version = 0;
  ClusterState state = ClusterState::kStartup;
  Timestamp written_at;  // last update of the file
  Lsn checkpoint, redo;
  TimelineId timeline = 0, previous_timeline = 0;  // of the checkpoint
  bool full_page_writes = false;
  std::uint64_t next_xid = 0;  // with epoch
  Timestamp checkpoint_at;
  Lsn min_recovery_point, backup_start, backup_end;
  TimelineId min_recovery_timeline = 0;
  bool backup_end_required = false;
  ControlSettings settings;
  std::uint32_t block_size = 0, relation_segment_blocks = 0, wal_block_size = 0,
                wal_segment_size = 0;
};

// kCorrupt when the CRC differs or it is too short, kUnsupported for a layout of another major.
Result<ControlFile> ParseControlFile(ByteView bytes);
// The bytes of a file that another process may be writing: read again until the CRC is right, a few times.
Result<Bytes> ReadControlBytes(const std::string& data_directory);
Result<ControlFile> ReadControlFile(const std::string& data_directory);

}  // namespace pitr
