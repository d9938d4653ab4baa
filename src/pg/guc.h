// The settings: defined once in _PG_init, read as one copy of plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/repo/access.h"

namespace pitr::pg {

enum class LogOperations { kNone, kChanges, kAll };

// sql-surface.md 5. Texts are copies: the server's own move at each reload.
struct Settings {
  // Address empty: off; of s3:// with the settings for it as parameters.
  RepositoryAccess repository;
  // Changes with each load of the configuration by this process: what was opened before is opened anew, so that a reload is
  // how a server is told that the content of a key file has changed.
  std::int64_t loaded_at = 0;
  int archive_workers = 0;
  int archive_look_ahead = 0;  // segments
  int compression_level = 0;
  int backlog_compression_level = 0;
  int snapshot_compression_level = 0;
  int snapshot_workers = 0;
  int restore_workers = 0;
  std::string branch_directory;  // empty: "<data directory>.pitr"
  int wal_read_ahead_kb = 0;
  std::string recovery_settings;
  int operation_lock_timeout_ms = 0;
  int terminate_timeout_ms = 0;
  int undo_directory_retention_min = 0;
  LogOperations log_operations = LogOperations::kChanges;
};

Settings CurrentSettings();
// pitr.archive_workers alone, for _PG_init, which must not allocate.
int ArchiveWorkersSetting();
// These for a process that looks often. 0: off.
int TailIntervalSetting();       // ms
int HeartbeatIntervalSetting();  // s
int LeaseTimeoutSetting();       // s
int MaxReplayBytesSetting();     // MB
int MaxReplayTimeSetting();      // s
int RestoreWindowSetting();      // min
int MinimumSnapshotsSetting();
int RetentionGraceSetting();  // min
bool SynchronousSetting();
// MB of WAL that waits, above which it is let go when it cannot be archived (pitr.on_archive_failure = 'drop'); 0: never.
int DropBacklogSetting();
bool DemandLoadSetting();
std::string EventCommandSetting();  // empty: none
const char* DatabaseSetting();      // where NOTIFY is sent
int FetchWorkersSetting();
// The repository is one that sessions may not read themselves; allocates nothing.
bool NeedsFetchWorkersSetting();
// kB a second; 0: no limit
int FillRateSetting();
int SnapshotReadRateSetting();
int WorkerNiceSetting();
// pitr.repository is not empty; allocates nothing.
bool HasRepositorySetting();

// From _PG_init. RAISES. `preloaded`: from shared_preload_libraries; settings that need a restart cannot be made later.
void DefineSettings(bool preloaded);

// What the check hooks say; kInvalidArgument with the position where there is one.
Status CheckRepositorySetting(std::string_view value);
Status CheckBranchDirectorySetting(std::string_view value);
Status CheckKeyFileSetting(std::string_view value);
Status CheckRecoverySettings(std::string_view value);

}  // namespace pitr::pg
