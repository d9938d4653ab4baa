// What commits is a transaction with a number and nothing else: 34 bytes of WAL and what the page headers add. It waits for
// nothing, not even for a synchronous standby, since RecordTransactionCommit (xact.c of 15 to 18) waits only for transactions
// that wrote something before they commit; the WAL writer flushes it within its delay.
#include "pg/heartbeat.h"

#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/lwlock.h"
}

namespace pitr::pg {

namespace {

std::uint64_t LatestCompletedXid() {
  return Call([] {
    LWLockAcquire(ProcArrayLock, LW_SHARED);
    const std::uint64_t xid = U64FromFullTransactionId(PITR_XID_COUNTERS->latestCompletedXid);
    LWLockRelease(ProcArrayLock);
    return xid;
  });
}

}  // namespace

// The newest transaction that ended tells for all of them: one that is older and commits later costs a heartbeat too many.
bool Heartbeat::WasThereACommit() {
  const std::uint64_t newest = LatestCompletedXid();
  if (newest == seen_xid_) {
    return false;
  }
  seen_xid_ = newest;
  return Call([newest] { return TransactionIdDidCommit(static_cast<TransactionId>(newest)); });
}

void Heartbeat::Tick(std::int64_t now_ms) {
  const std::int64_t interval_ms = HeartbeatIntervalSetting() * 1000LL;
  if (interval_ms == 0 || Call([] { return RecoveryInProgress(); })) {
    last_commit_ms_ = -1;
    return;
  }
  if (WasThereACommit() || last_commit_ms_ < 0) {
    last_commit_ms_ = now_ms;
  }
  if (now_ms - last_commit_ms_ < interval_ms) {
    return;
  }
  if (!is_connected_) {
    // To no database: shared catalogues are enough, and nobody's DROP DATABASE waits for us.
    Call([] { BackgroundWorkerInitializeConnection(nullptr, nullptr, 0); });
    is_connected_ = true;
  }
  Call([] {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    (void)GetTopTransactionId();
    CommitTransactionCommand();
    pgstat_report_activity(STATE_IDLE, nullptr);
  });
  last_commit_ms_ = now_ms;
}

}  // namespace pitr::pg
