#include "pg/archive_report.h"

#include <cstring>

#include "core/base/clock.h"
#include "pg/archive_ship.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/log.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kReminderMicros = 300LL * 1'000'000;

std::string Attempts(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " attempt has failed" : " attempts have failed");
}

std::string Seconds(std::int64_t micros) { return std::to_string(micros / 1'000'000) + " s"; }

}  // namespace

FailureScope ScopeOf(Code code) {
  switch (code) {
    case Code::kAlreadyExists:
    case Code::kCorrupt:
    case Code::kForeign:
    case Code::kInvalidArgument:
      return FailureScope::kFile;
    default:
      return FailureScope::kStore;
  }
}

void RecordFailure(const std::string& name, FailureScope scope, const Status& status) {
  const std::int64_t now = SystemClock().Now().micros;
  // What is held under the lock is bytes: the text is made before, the log is told after.
  const std::string error = status.ToString();
  bool tell = false;
  std::uint64_t count = 0;
  std::int64_t since = 0;
  {
    const LockHolder lock(ArchiveLock());
    ArchiveShared& archive = GetShared()->archive;
    archive.failed_count++;
    CopyText(name, archive.last_failed_wal, sizeof archive.last_failed_wal);
    archive.last_failed_at = now;
    CopyText(error, archive.last_error, sizeof archive.last_error);
    if (archive.failing_code == 0) {
      archive.failing_since = now;
      archive.failing_count = 0;
      archive.failing_told = 0;
    }
    const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(status.code());
    tell = (archive.failing_told & bit) == 0 || now - archive.failing_told_at >= kReminderMicros;
    archive.failing_told |= bit;
    archive.failing_code = static_cast<std::int32_t>(status.code());
    if (scope == FailureScope::kFile) {
      CopyText(name, archive.failing_file, sizeof archive.failing_file);
    } else {
      archive.failing_file[0] = '\0';
    }
    archive.failing_count++;
    if (tell) {
      archive.failing_told_at = now;
    }
    count = archive.failing_count;
    since = archive.failing_since;
  }
  if (!tell || status.code() == Code::kOtherWriter) {
    return;
  }
  std::string prefix = "could not archive \"" + name + "\"";
  if (count > 1) {
    prefix += " (" + Attempts(count) + " in " + Seconds(now - since) + ")";
  }
  LogStatus(WARNING, prefix, status);
}

void RecordShipped(const std::string& name, const ShipResult& result) {
  const std::int64_t now = SystemClock().Now().micros;
  std::uint64_t failures = 0;
  std::int64_t since = 0;
  {
    const LockHolder lock(ArchiveLock());
    ArchiveShared& archive = GetShared()->archive;
    if (!result.was_there) {
      archive.raw_bytes += result.raw_bytes;
      archive.stored_bytes += result.stored_bytes;
    }
    if (archive.failing_code != 0 &&
        (archive.failing_file[0] == '\0' || name == archive.failing_file)) {
      failures = archive.failing_count;
      since = archive.failing_since;
      archive.failing_code = 0;
      archive.failing_file[0] = '\0';
      archive.failing_count = 0;
      archive.failing_told_at = 0;
    }
  }
  if (failures > 0) {
    LogQuietly(LOG, "archiving works again with \"" + name + "\": " + Attempts(failures) + " in " +
                        Seconds(now - since));
  }
}

void ForgetFailure(Code code) {
  const LockHolder lock(ArchiveLock());
  ArchiveShared& archive = GetShared()->archive;
  if (archive.failing_code == static_cast<std::int32_t>(code)) {
    archive.failing_code = 0;
    archive.failing_file[0] = '\0';
    archive.failing_count = 0;
    archive.failing_told_at = 0;
  }
}

bool IsArchiveFailing() {
  char file[kWalNameSize] = {};
  {
    const LockHolder lock(ArchiveLock(), false);
    const ArchiveShared& archive = GetShared()->archive;
    if (archive.failing_code == 0) {
      return false;
    }
    std::memcpy(file, archive.failing_file, sizeof file);
  }
  if (file[0] == '\0' || IsReady(file)) {
    return true;
  }
  {
    const LockHolder lock(ArchiveLock());
    ArchiveShared& archive = GetShared()->archive;
    if (std::strcmp(archive.failing_file, file) != 0) {
      return archive.failing_code != 0;
    }
    archive.failing_code = 0;
    archive.failing_file[0] = '\0';
    archive.failing_told_at = 0;
  }
  LogQuietly(LOG, "\"" + std::string(file) + "\" does not wait to be archived any more");
  return false;
}

ArchiveCounters ReadArchiveCounters() {
  // Copied whole under the lock; strings are made afterwards, since they may throw.
  struct Copy {
    char last_archived_wal[kWalNameSize], last_failed_wal[kWalNameSize], last_error[1024];
  } copy;
  ArchiveCounters counters;
  {
    const LockHolder lock(ArchiveLock(), false);
    const ArchiveShared& archive = GetShared()->archive;
    std::memcpy(copy.last_archived_wal, archive.last_archived_wal, sizeof copy.last_archived_wal);
    std::memcpy(copy.last_failed_wal, archive.last_failed_wal, sizeof copy.last_failed_wal);
    std::memcpy(copy.last_error, archive.last_error, sizeof copy.last_error);
    counters.last_archived_at = archive.last_archived_at;
    counters.last_failed_at = archive.last_failed_at;
    counters.archived_count = archive.archived_count;
    counters.failed_count = archive.failed_count;
    counters.raw_bytes = archive.raw_bytes;
    counters.stored_bytes = archive.stored_bytes;
    counters.timeline = archive.timeline;
    counters.is_failing = archive.failing_code != 0;
    counters.failing_since = archive.failing_since;
  }
  counters.last_archived_wal = copy.last_archived_wal;
  counters.last_failed_wal = copy.last_failed_wal;
  counters.last_error = copy.last_error;
  return counters;
}

}  // namespace pitr::pg
