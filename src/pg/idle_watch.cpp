#include "pg/idle_watch.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/work/idle_server.h"
#include "pg/archive_ship.h"
#include "pg/boundary.h"
#include "pg/demand.h"
#include "pg/guc.h"
#include "pg/guc_branch.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/sessions.h"
#include "pg/tail.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "miscadmin.h"
}

namespace pitr::pg {

namespace {

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

bool RunsOperation() {
  for (const OperationSlot& slot : AllOperations()) {
    if (slot.state != OperationState::kFree && slot.finished_at == 0) return true;
  }
  return false;
}

// Its jobs are of no session; a branch has them only when that was asked for (pitr.branch_activity).
bool RunsJobs() {
  return SettingValue("shared_preload_libraries").find("pg_cron") != std::string::npos &&
         SettingValue("cron.launch_active_jobs") != "off";
}

// Whoever makes something of the branch need not start it for its last WAL, and nothing of it is on this machine alone.
bool IsEverythingShipped() {
  const bool has_tail = TailIntervalSetting() == 0 || ReadDurableLsn() >= FlushLsn();
  return has_tail && CountReadyFiles() == 0;
}

bool IsActive() {
  return InRecovery() || HasSessions() || RunsOperation() || IncompleteDirectory() != nullptr ||
         RunsJobs();
}

}  // namespace

// False when somebody came meanwhile.
Result<bool> IdleWatch::TryStop() {
  // Whoever was let in before we refuse is in the time of the last session, whoever comes behind is sent away.
  if (LastSessionMs() > active_at_ms_ || IsActive()) return false;
  PITR_RETURN_IF_ERROR(AskToBeHeld(DataDirectory()));
  PITR_FAULT("idle.asked");
  LogQuietly(LOG, "pitr_ext: nobody is connected: this server stops until somebody is");
  if (kill(PostmasterPid, SIGINT) != 0) return Status::FromErrno(errno, "stop this server");
  return true;
}

Status IdleWatch::Tick() {
  const int timeout = BranchIdleTimeoutSetting();
  const std::int64_t now = Now();
  if (active_at_ms_ == 0) {
    // Of a launcher that died when it had asked.
    PITR_RETURN_IF_ERROR(ForgetIdle(DataDirectory()));
  }
  if (active_at_ms_ == 0 || timeout == 0 || IsActive()) {
    active_at_ms_ = now;
    return Status::Ok();
  }
  active_at_ms_ = std::max(active_at_ms_, LastSessionMs());
  if (now - active_at_ms_ < std::int64_t{timeout} * 1000 || !IsEverythingShipped()) {
    return Status::Ok();
  }
  RefuseForIdleness(true);
  const Result<bool> stops = TryStop();
  if (!stops.ok() || !*stops) RefuseForIdleness(false);
  return stops.status();
}

}  // namespace pitr::pg
