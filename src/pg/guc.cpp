// Settings and their check hooks. A hook runs in any process, the postmaster too, and neither raises nor throws: it says why
// through the server's GUC_check_… texts.
#include "pg/guc.h"

#include <algorithm>
#include <cctype>

#include "core/store/address_list.h"
#include "pg/boundary.h"
#include "pg/guc_branch.h"
#include "pg/guc_check.h"
#include "pg/guc_s3.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "utils/guc.h"
#include "utils/timestamp.h"
}

namespace pitr::pg {

namespace {

constinit char* repository = nullptr;
constinit char* branch_directory = nullptr;
constinit char* encryption_key_command = nullptr;
constinit char* encryption_key_file = nullptr;
constinit char* recovery_settings = nullptr;
constinit int archive_workers = 0;
constinit char* event_command = nullptr;
constinit char* database = nullptr;
constinit int archive_max_backlog = 0;
constinit int on_archive_failure = 0;
constinit int archive_look_ahead = 0;
constinit int compression_level = 0;
constinit int backlog_compression_level = 0;
constinit int snapshot_compression_level = 0;
constinit int snapshot_workers = 0;
constinit int restore_workers = 0;
constinit int wal_read_ahead = 0;
constinit int operation_lock_timeout = 0;
constinit int terminate_timeout = 0;
constinit int undo_directory_retention = 0;
constinit int log_operations = 0;
constinit int tail_interval = 0;
constinit int heartbeat_interval = 0;
constinit int lease_timeout = 0;
constinit int demand_load = 0;
constinit int fetch_workers = 0;
constinit int fill_rate = 0, snapshot_read_rate = 0, worker_nice = 0;
constinit int max_replay_bytes = 0;
constinit int max_replay_time = 0;
constinit int restore_window = 0, minimum_snapshots = 0, retention_grace = 0;
constinit bool synchronous = false;

// zstd levels; below zero are its fast ones, which would go on to less and less compression.
constexpr int kFastestLevel = -7;
constexpr int kSlowestLevel = 19;

constexpr int kDemandOff = 0, kDemandAuto = 1;
constexpr config_enum_entry kDemandLoadNames[] = {
    {"auto", kDemandAuto, false},
    {"off", kDemandOff, false},
    {nullptr, 0, false},
};

constexpr int kHoldWal = 0, kDropWal = 1;
constexpr config_enum_entry kArchiveFailureNames[] = {
    {"hold", kHoldWal, false},
    {"drop", kDropWal, false},
    {nullptr, 0, false},
};

constexpr config_enum_entry kLogOperationsNames[] = {
    {"none", static_cast<int>(LogOperations::kNone), false},
    {"changes", static_cast<int>(LogOperations::kChanges), false},
    {"all", static_cast<int>(LogOperations::kAll), false},
    {nullptr, 0, false},
};

constexpr int kKbPerMb = 1024;
constexpr int kMsPerSecond = 1000;
constexpr int kMinutesPerDay = 24 * 60;
constexpr int kSecondsPerDay = 24 * 60 * 60;
constexpr int kLeastTailInterval = 100;  // ms

std::string Text(const char* value) { return value != nullptr ? value : ""; }

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

Status SyntaxError(std::size_t position, std::string_view expected) {
  return Status(Code::kInvalidArgument,
                std::string(expected) + " expected at position " + std::to_string(position + 1));
}

// Walks over `name = value` from `at`, which stands on the first character of the name, to the semicolon or the end.
Status SkipAssignment(std::string_view text, std::size_t* at) {
  const auto skip_blanks = [&] {
    while (*at < text.size() && IsBlank(text[*at])) {
      (*at)++;
    }
  };
  if (std::isalpha(static_cast<unsigned char>(text[*at])) == 0 && text[*at] != '_') {
    return SyntaxError(*at, "name of a setting");
  }
  while (*at < text.size() && (std::isalnum(static_cast<unsigned char>(text[*at])) != 0 ||
                               text[*at] == '_' || text[*at] == '.')) {
    (*at)++;
  }
  skip_blanks();
  if (*at == text.size() || text[*at] != '=') {
    return SyntaxError(*at, "\"=\"");
  }
  (*at)++;
  skip_blanks();
  if (*at == text.size() || text[*at] == ';') {
    return SyntaxError(*at, "value");
  }
  if (text[*at] != '\'') {
    while (*at < text.size() && text[*at] != ';') {
      if (static_cast<unsigned char>(text[*at]) < ' ' || text[*at] == '\'') {
        return SyntaxError(*at, "\";\"");
      }
      (*at)++;
    }
    return Status::Ok();
  }
  const std::size_t quote = (*at)++;
  for (;; (*at)++) {
    if (*at == text.size() || static_cast<unsigned char>(text[*at]) < ' ') {
      return SyntaxError(quote, "text with a closing quote");
    }
    if (text[*at] != '\'') {
      continue;
    }
    if (*at + 1 < text.size() && text[*at + 1] == '\'') {
      (*at)++;  // a doubled quote is one quote
      continue;
    }
    (*at)++;
    break;
  }
  skip_blanks();
  return *at == text.size() || text[*at] == ';' ? Status::Ok() : SyntaxError(*at, "\";\"");
}

// What a hook answers. The texts go through the server's formatter, which may raise for want of memory: shells only.
bool Answer(Outcome outcome, const Report& report) {
  if (outcome == Outcome::kOk) {
    return true;
  }
  if (outcome == Outcome::kReraise) {
    Raise(outcome, report);
  }
  GUC_check_errcode(report.sqlstate);
  GUC_check_errdetail("%s%s%s", report.message, report.detail[0] != '\0' ? ". " : ".",
                      report.detail);
  if (report.hint[0] != '\0') {
    GUC_check_errhint("%s", report.hint);
  }
  return false;
}

extern "C" {

static bool CheckRepositoryHook(char** value, void**, GucSource) {
  return CheckTextSetting(*value, CheckRepositorySetting);
}

static bool CheckBranchDirectoryHook(char** value, void**, GucSource) {
  return CheckTextSetting(*value, CheckBranchDirectorySetting);
}

static bool CheckKeyFileHook(char** value, void**, GucSource) {
  return CheckTextSetting(*value, CheckKeyFileSetting);
}

static bool CheckRecoverySettingsHook(char** value, void**, GucSource) {
  return CheckTextSetting(*value, CheckRecoverySettings);
}

static bool CheckTailIntervalHook(int* value, void**, GucSource) {
  if (*value == 0 || *value >= kLeastTailInterval) {
    return true;
  }
  GUC_check_errdetail("The interval is 0 (off) or at least %d ms.", kLeastTailInterval);
  return false;
}
}

void DefineInteger(const char* name, const char* description, int* variable, int boot, int least,
                   int most, GucContext context = PGC_SIGHUP, int flags = 0) {
  DefineCustomIntVariable(name, description, nullptr, variable, boot, least, most, context, flags,
                          nullptr, nullptr, nullptr);
}

void DefineText(const char* name, const char* description, const char* more, char** variable,
                GucContext context, GucStringCheckHook check, int flags = 0) {
  DefineCustomStringVariable(name, description, more, variable, "", context, flags, check, nullptr,
                             nullptr);
}

}  // namespace

bool CheckTextSetting(const char* value, Status (*check)(std::string_view)) {
  Report report;
  const Outcome outcome = Run([&] { return check(value != nullptr ? value : ""); }, &report);
  return Answer(outcome, report);
}

Status CheckRepositorySetting(std::string_view value) {
  if (value.empty()) {
    return Status::Ok();
  }
  return ParseStoreAddresses(value).status();
}

Status CheckBranchDirectorySetting(std::string_view value) {
  if (!value.empty() && value.front() != '/') {
    return Status(Code::kInvalidArgument, "The branch directory must be an absolute path or empty");
  }
  return Status::Ok();
}

// The server's working directory changes places with another one in a restore, so a relative path would name another file.
Status CheckKeyFileSetting(std::string_view value) {
  if (!value.empty() && value.front() != '/') {
    return Status(Code::kInvalidArgument, "The encryption key file must be an absolute path");
  }
  return Status::Ok();
}

Status CheckRecoverySettings(std::string_view value) {
  std::size_t at = 0;
  while (at < value.size()) {
    if (IsBlank(value[at]) || value[at] == ';') {
      at++;
      continue;
    }
    PITR_RETURN_IF_ERROR(SkipAssignment(value, &at));
  }
  return Status::Ok();
}

Settings CurrentSettings() {
  Settings settings;
  settings.repository.address = WithS3Settings(Text(repository));
  settings.repository.keys = {Text(encryption_key_file), Text(encryption_key_command)};
  settings.loaded_at = PgReloadTime;
  settings.archive_workers = archive_workers;
  settings.archive_look_ahead = archive_look_ahead;
  settings.compression_level = compression_level;
  settings.backlog_compression_level = backlog_compression_level;
  settings.snapshot_compression_level = snapshot_compression_level;
  settings.snapshot_workers = snapshot_workers;
  settings.restore_workers = restore_workers;
  settings.branch_directory = Text(branch_directory);
  settings.wal_read_ahead_kb = wal_read_ahead;
  settings.recovery_settings = Text(recovery_settings);
  settings.operation_lock_timeout_ms = operation_lock_timeout;
  settings.terminate_timeout_ms = terminate_timeout;
  settings.undo_directory_retention_min = undo_directory_retention;
  settings.log_operations = static_cast<LogOperations>(log_operations);
  return settings;
}

int ArchiveWorkersSetting() { return archive_workers; }

int TailIntervalSetting() { return tail_interval; }

int HeartbeatIntervalSetting() { return heartbeat_interval; }

int LeaseTimeoutSetting() { return lease_timeout; }

int MaxReplayBytesSetting() { return max_replay_bytes; }

int MaxReplayTimeSetting() { return max_replay_time; }

std::string EventCommandSetting() { return event_command != nullptr ? event_command : ""; }
const char* DatabaseSetting() { return database != nullptr ? database : "postgres"; }
int DropBacklogSetting() { return on_archive_failure == kDropWal ? archive_max_backlog : 0; }
int RestoreWindowSetting() { return restore_window; }

int MinimumSnapshotsSetting() { return minimum_snapshots; }

int RetentionGraceSetting() { return retention_grace; }

bool SynchronousSetting() { return synchronous; }

bool DemandLoadSetting() { return demand_load == kDemandAuto; }

int FetchWorkersSetting() { return fetch_workers; }

bool NeedsFetchWorkersSetting() {
  const auto is_set = [](const char* text) { return text != nullptr && text[0] != '\0'; };
  if (!is_set(repository)) return false;
  if (is_set(encryption_key_file) || is_set(encryption_key_command)) return true;
  for (std::string_view rest = repository; !rest.empty();) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t,"), rest.size()));
    if (!rest.empty() && rest.front() != '/') return true;
    rest.remove_prefix(std::min(rest.find(','), rest.size()));
  }
  return false;
}

int FillRateSetting() { return fill_rate; }

int SnapshotReadRateSetting() { return snapshot_read_rate; }

int WorkerNiceSetting() { return worker_nice; }

bool HasRepositorySetting() { return repository != nullptr && repository[0] != '\0'; }

void DefineSettings(bool preloaded) {
  DefineInteger("pitr.archive_look_ahead",
                "Segments that archive workers ship ahead of the archiver.", &archive_look_ahead,
                64, 1, 1024);
  DefineInteger("pitr.archive_max_backlog",
                "WAL that waits to be archived, above which pitr.on_archive_failure = 'drop' lets "
                "it go; 0: no limit.",
                &archive_max_backlog, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB);
  DefineInteger("pitr.archive_workers", "Background workers that ship WAL; 0: the archiver alone.",
                &archive_workers, 2, 0, 16);
  DefineInteger("pitr.backlog_compression_level",
                "Compression of WAL while more than eight segments wait; 0: none.",
                &backlog_compression_level, -3, kFastestLevel, kSlowestLevel);
  DefineText("pitr.branch_directory",
             "Directory for the data directories of branches; empty: the data directory's name "
             "with \".pitr\".",
             "Replacements for the server's own data directory always stand on its file system.",
             &branch_directory, preloaded ? PGC_POSTMASTER : PGC_SIGHUP, CheckBranchDirectoryHook);
  DefineInteger("pitr.compression_level", "Compression of WAL; 0: none.", &compression_level, 3,
                kFastestLevel, kSlowestLevel);
  DefineCustomStringVariable("pitr.database", "Database in which pitr_events are notified.",
                             "NOTIFY reaches the sessions of one database only.", &database,
                             "postgres", preloaded ? PGC_POSTMASTER : PGC_SIGHUP, 0, nullptr,
                             nullptr, nullptr);
  DefineCustomEnumVariable(
      "pitr.demand_load", "Whether a restored directory is served before all of it is laid out.",
      "auto: where it can be; what is missing is loaded when it is read, and in the background.",
      &demand_load, kDemandAuto, kDemandLoadNames, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineText("pitr.encryption_key_command", "Command that prints the keys of the repository.",
             "Run by /bin/sh in each process that opens the repository.", &encryption_key_command,
             PGC_SIGHUP, nullptr, GUC_SUPERUSER_ONLY);
  DefineText("pitr.encryption_key_file",
             "File with the keys of the repository; only the server's user may read it.", nullptr,
             &encryption_key_file, PGC_SIGHUP, CheckKeyFileHook, GUC_SUPERUSER_ONLY);
  DefineText("pitr.event_command", "Command that gets each event as JSON on its standard input.",
             "Run by /bin/sh, one after the other, for 30 seconds at most.", &event_command,
             PGC_SIGHUP, nullptr, GUC_SUPERUSER_ONLY);
  DefineInteger(
      "pitr.fetch_workers",
      "Processes that read a remote or encrypted repository for sessions that miss pages.",
      &fetch_workers, 4, 1, 32, preloaded ? PGC_POSTMASTER : PGC_SIGHUP);
  DefineInteger("pitr.fill_rate",
                "How fast a restored directory is completed in the background; 0: no limit.",
                &fill_rate, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB);
  DefineInteger("pitr.heartbeat_interval",
                "How long an idle server goes without a commit before one is made; 0: for ever.",
                &heartbeat_interval, 0, 0, kSecondsPerDay, PGC_SIGHUP, GUC_UNIT_S);
  DefineInteger("pitr.lease_timeout",
                "How long the writer of a branch is not heard of before another one may take over.",
                &lease_timeout, 60, 10, 3600, PGC_SIGHUP, GUC_UNIT_S);
  DefineCustomEnumVariable("pitr.log_operations", "Which operations the server log tells of.",
                           nullptr, &log_operations, static_cast<int>(LogOperations::kChanges),
                           kLogOperationsNames, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable(
      "pitr.on_archive_failure", "What becomes of WAL that cannot be archived.",
      "hold: it stays in pg_wal. drop: above pitr.archive_max_backlog it is let go, which leaves a "
      "gap in what can be restored.",
      &on_archive_failure, kHoldWal, kArchiveFailureNames, PGC_SIGHUP, 0, nullptr, nullptr,
      nullptr);
  DefineInteger("pitr.max_replay_bytes",
                "WAL since the last snapshot after which an increment is taken; 0: none for that.",
                &max_replay_bytes, 256, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB);
  DefineInteger("pitr.max_replay_time",
                "Time of replay since the last snapshot after which an increment is taken; 0: none "
                "for that.",
                &max_replay_time, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S);
  DefineInteger("pitr.minimum_snapshots",
                "How many of a branch's newest good snapshots stay, however old they are.",
                &minimum_snapshots, 1, 1, 1000);
  DefineInteger("pitr.operation_lock_timeout",
                "How long an operation waits for another one; 0: not at all.",
                &operation_lock_timeout, 30 * kMsPerSecond, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS);
  DefineText("pitr.recovery_settings", "Settings for recovering servers: \"name=value; ...\".",
             nullptr, &recovery_settings, PGC_SIGHUP, CheckRecoverySettingsHook);
  DefineText("pitr.repository",
             "Folder of the repository, or s3://bucket/prefix; empty: nothing is archived.",
             "Several, separated by commas, hold the same; each with ?mode=required or "
             "?mode=best_effort.",
             &repository, PGC_SIGHUP, CheckRepositoryHook);
  DefineInteger("pitr.restore_window",
                "How far back every moment of a branch can be restored; 0: no history.",
                &restore_window, 7 * kMinutesPerDay, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN);
  DefineInteger("pitr.restore_workers", "Threads that lay out a data directory.", &restore_workers,
                2, 1, 16);
  DefineInteger("pitr.retention_grace",
                "How long what nobody needs any more stays before it is removed.", &retention_grace,
                60, 0, 3 * kMinutesPerDay, PGC_SIGHUP, GUC_UNIT_MIN);
  DefineInteger("pitr.snapshot_compression_level", "Compression of snapshots; 0: none.",
                &snapshot_compression_level, 1, kFastestLevel, kSlowestLevel);
  DefineInteger("pitr.snapshot_read_rate",
                "How fast snapshots read the data directory; 0: no limit.", &snapshot_read_rate, 0,
                0, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB);
  DefineInteger("pitr.snapshot_workers", "Threads that copy a snapshot.", &snapshot_workers, 2, 1,
                16);
  DefineCustomBoolVariable("pitr.synchronous", "Commits wait until the repository has them.",
                           "synchronous_standby_names must list \"pitr\"; pitr_check() says so.",
                           &synchronous, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("pitr.tail_interval",
                          "How often the flushed part of the open WAL segment is shipped; 0: not.",
                          nullptr, &tail_interval, kMsPerSecond, 0, 3600 * kMsPerSecond, PGC_SIGHUP,
                          GUC_UNIT_MS, CheckTailIntervalHook, nullptr, nullptr);
  DefineInteger("pitr.terminate_timeout",
                "How long sessions have to end before a restore cuts them.", &terminate_timeout,
                5 * kMsPerSecond, kMsPerSecond / 10, 600 * kMsPerSecond, PGC_SIGHUP, GUC_UNIT_MS);
  DefineInteger("pitr.undo_directory_retention",
                "How long the directory from before a restore stays on disk.",
                &undo_directory_retention, kMinutesPerDay, 0, 30 * kMinutesPerDay, PGC_SIGHUP,
                GUC_UNIT_MIN);
  DefineInteger("pitr.wal_read_ahead", "WAL that recovering servers fetch ahead.", &wal_read_ahead,
                128 * kKbPerMb, 0, 4 * kKbPerMb * kKbPerMb, PGC_SIGHUP, GUC_UNIT_KB);
  DefineInteger("pitr.worker_nice",
                "How far programs that copy snapshots, verify and replicate stand back.",
                &worker_nice, 5, 0, 19);
  DefineS3Settings();
  DefineBranchSettings();
  MarkGUCPrefixReserved("pitr");
}

}  // namespace pitr::pg
