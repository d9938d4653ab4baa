// What archiving tells: the counters of pitr_archive, and one line in the server log for each change of state.
//
// Every function may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "core/repo/wal_archive.h"
#include "pg/archive_state.h"

namespace pitr::pg {

enum class FailureScope {
  kStore,  // whatever is shipped next would fail as well: no repository, disk full, foreign
  kFile,   // this file's own: other content there already, damaged, of another server
};

// Counts; logs when the state changes, and every five minutes while it does not. Of another writer (PI008) the log was told before.
void RecordFailure(const std::string& name, FailureScope scope, const Status& status);
// `name` is durable in the repository. Ends a failing state: a file's own with that file only.
void RecordShipped(const std::string& name, const ShipResult& result);

// The last attempt failed, and what failed still waits: the failure of a file that waits no more is forgotten.
bool IsArchiveFailing();

// What failed so is over, and the next attempt is due: for who knows without having shipped anything.
void ForgetFailure(Code code);

// Which codes of ShipWalFile are the file's own.
FailureScope ScopeOf(Code code);

// For the view. Times are 0 when it never happened.
struct ArchiveCounters {
  std::string last_archived_wal, last_failed_wal, last_error;
  std::int64_t last_archived_at = 0, last_failed_at = 0;
  std::uint64_t archived_count = 0, failed_count = 0, raw_bytes = 0, stored_bytes = 0;
  std::uint32_t timeline = 0;
  bool is_failing = false;
  std::int64_t failing_since = 0;
};
ArchiveCounters ReadArchiveCounters();

}  // namespace pitr::pg
