#include "pg/sessions.h"

#include <csignal>
#include <string_view>

#include "core/base/clock.h"
#include "pg/boundary.h"
#include "pg/shmem.h"
#include "pg/synchronous.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

namespace {

// Calls `visit(entry)` for each process with a status entry until it returns false. Inside a Call.
template <typename Visit>
void VisitBackends(Visit visit) {
  pgstat_clear_backend_activity_snapshot();
  const int count = pgstat_fetch_stat_numbackends();
  for (int i = 1; i <= count; i++) {
    const LocalPgBackendStatus* local = PITR_LOCAL_BACKEND(i);
    if (local != nullptr && !visit(local->backendStatus)) return;
  }
}

bool IsSession(const PgBackendStatus& entry) {
  return entry.st_backendType == B_BACKEND || entry.st_backendType == B_WAL_SENDER;
}

// The launcher of subscriptions is there whether there are any or not.
bool IsSubscription(const PgBackendStatus& entry) {
  if (entry.st_backendType != B_BG_WORKER) return false;
  const char* type = GetBackgroundWorkerTypeByPid(entry.st_procpid);
  const std::string_view name = type != nullptr ? type : "";
  return name.starts_with("logical replication") && name != "logical replication launcher";
}

int TerminateOnce() {
  return Call([] {
    int count = 0;
    VisitBackends([&count](const PgBackendStatus& entry) {
      if (!IsSession(entry)) return true;
      count++;
      // A backend that has not read its start-up packet yet has no other way to hear of it.
      kill(entry.st_procpid, SIGTERM);
      return true;
    });
    return count;
  });
}

}  // namespace

void RefuseSessions(bool refuse) {
  GetShared()->exchange.refuse_sessions = refuse;
  pg_memory_barrier();
}

void RefuseForIdleness(bool refuse) {
  GetShared()->exchange.refuse_for_idleness = refuse;
  pg_memory_barrier();
}

std::int64_t LastSessionMs() {
  pg_memory_barrier();
  return GetShared()->exchange.last_session_ms;
}

bool HasSessions() {
  const int ours = ConfirmersSender();
  return Call([ours] {
    bool found = false;
    VisitBackends([&found, ours](const PgBackendStatus& entry) {
      found = (IsSession(entry) && entry.st_procpid != ours) || IsSubscription(entry);
      return !found;
    });
    return found;
  });
}

int CutSessions(std::int64_t timeout_ms) {
  const std::int64_t give_up = SystemClock().MonotonicMillis() + timeout_ms;
  int left = TerminateOnce();
  std::int64_t again = SystemClock().MonotonicMillis() + 200;
  while (left > 0 && SystemClock().MonotonicMillis() < give_up) {
    Call([] { WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 2L, PG_WAIT_EXTENSION); });
    if (SystemClock().MonotonicMillis() >= again) {
      // Again for whoever was between authentication and its first statement.
      left = TerminateOnce();
      again = SystemClock().MonotonicMillis() + 200;
      continue;
    }
    left = Call([] {
      int count = 0;
      VisitBackends([&count](const PgBackendStatus& entry) {
        if (IsSession(entry)) count++;
        return true;
      });
      return count;
    });
  }
  return left;
}

bool IsSessionIdle(std::int32_t pid) {
  return Call([pid] {
    bool idle = true;
    VisitBackends([&idle, pid](const PgBackendStatus& entry) {
      if (entry.st_procpid != pid) return true;
      idle = entry.st_state != STATE_RUNNING && entry.st_state != STATE_FASTPATH;
      return false;
    });
    return idle;
  });
}

}  // namespace pitr::pg
