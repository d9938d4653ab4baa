// The confirmer: a replication client of this very server, under the name "pitr". It tells the tail shipper when something was
// flushed, and the server when that is in the repository; then commits that wait for it are acknowledged.
//
// It is a process of its own, and does nothing else, so that it always answers: a WAL sender that hears nothing for
// wal_sender_timeout ends the connection, and the tail shipper may be in a request to a slow store for longer. It touches
// neither files nor the network beyond that connection. No slot is held: nothing in pg_wal is kept for it.
//
// Invariant: only what is durable in the repository is ever confirmed, at no level of synchronous_commit anything else.
#include <algorithm>

#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "pg/archive_claims.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/replication_client.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/synchronous.h"
#include "pg/tail.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "postmaster/bgworker.h"
}

namespace pitr::pg {

namespace {

constexpr long kLookMs = 1000;     // at what nobody tells of: a promotion
constexpr long kSleepMs = 10'000;  // nothing to do until the settings change, which sets the latch
constexpr long kSoonMs = 100;
constexpr std::int64_t kConnectMs = 10'000;
// As wal_receiver_status_interval; wal_sender_timeout is a minute.
constexpr std::int64_t kStatusMs = 10'000;
// Commits wait meanwhile; but the server tells of each attempt that it refuses. A reload tries at once.
constexpr std::int64_t kFirstRetryMs = 100;
constexpr std::int64_t kLastRetryMs = 10'000;

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

class Confirmer {
 public:
  Confirmer() : retry_(kFirstRetryMs, kLastRetryMs, static_cast<std::uint64_t>(MyProcPid)) {}

  // Does what can be done. Returns for how long to wait then, at most.
  long Tick();
  void Reloaded() { retry_.Reset(); }
  WorkerSocket socket() const;
  void Disconnect();

 private:
  static bool IsWanted();
  Status Connect();
  Status Serve();
  void Lost(const Status& status);

  ReplicationClient client_;
  Backoff retry_;
  StateLog log_{"pitr confirmer"};
  bool is_connected_ = false;  // to the shared catalogues
  bool is_announced_ = false;
  std::int64_t began_ms_ = 0, confirmed_ms_ = 0;
  Lsn confirmed_, seen_;
};

// A standby has no commits. Sessions are refused while an in-place restore exchanges directories, ours like any.
bool Confirmer::IsWanted() {
  return SynchronousSetting() && HasRepositorySetting() && IsArchivingHere() && !InRecovery();
}

WorkerSocket Confirmer::socket() const {
  return client_.is_open() ? WorkerSocket{client_.socket(), client_.wants_to_write()}
                           : WorkerSocket{};
}

Status Confirmer::Connect() {
  if (!is_connected_) {
    // To no database: shared catalogues are enough for the name of a role.
    Call([] { BackgroundWorkerInitializeConnection(nullptr, nullptr, 0); });
    is_connected_ = true;
  }
  Call([] {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
  });
  const ReplicationTarget target = OwnReplicationTarget();
  Call([] { CommitTransactionCommand(); });
  began_ms_ = Now();
  confirmed_ = seen_ = Lsn();
  // Nothing older is needed: what is confirmed does not depend on what was sent.
  return client_.Begin(target, FlushLsn());
}

Status Confirmer::Serve() {
  PITR_RETURN_IF_ERROR(client_.Advance());
  if (!client_.is_streaming()) {
    return Now() - began_ms_ < kConnectMs
               ? Status::Ok()
               : Status(Code::kUnavailable, "the server did not answer the replication connection");
  }
  if (!is_announced_) {
    if (!IsOwnSender(client_.sender_pid())) {
      return Status(Code::kForeign, "the replication connection leads to another server");
    }
    AnnounceSender(client_.sender_pid(), "");
    is_announced_ = true;
    retry_.Reset();
    log_.Tell(Status::Ok());
  }
  if (client_.received() > seen_) {
    seen_ = client_.received();
    WakeTailShipper();
  }
  const Lsn durable = ReadDurableLsn();
  const bool is_due =
      durable > confirmed_ || client_.is_reply_wanted() || confirmed_ms_ + kStatusMs <= Now();
  if (is_due && client_.Confirm(durable)) {
    confirmed_ = durable;
    confirmed_ms_ = Now();
  }
  return Status::Ok();
}

void Confirmer::Disconnect() {
  if (is_announced_ || client_.is_open()) {
    AnnounceSender(0, "");
  }
  client_.Close();
  is_announced_ = false;
}

// The first end of a connection that stood is not told: it is there again a moment later, unless something is wrong.
void Confirmer::Lost(const Status& status) {
  const bool was_announced = is_announced_;
  client_.Close();
  is_announced_ = false;
  AnnounceSender(0, status.message());
  retry_.Failed(Now());
  if (!was_announced && !WorkerMustStop()) {
    Status told = status;
    log_.Tell(
        told.WithHint("SELECT * FROM pitr_check() shows the settings and the line of pg_hba.conf "
                      "that are needed."));
  }
}

long Confirmer::Tick() {
  if (!IsWanted()) {
    Disconnect();
    return SynchronousSetting() ? kLookMs : kSleepMs;
  }
  if (!client_.is_open()) {
    if (!retry_.IsDue(Now())) {
      return static_cast<long>(retry_.WaitMs(Now()));
    }
    if (GetShared()->exchange.refuse_sessions) {
      return kSoonMs;
    }
    const Status status = Connect();
    if (!status.ok()) {
      Lost(status);
      return kSoonMs;
    }
  }
  const Status status = Serve();
  if (!status.ok()) {
    Lost(status);
    return static_cast<long>(retry_.WaitMs(Now()));
  }
  return kLookMs;
}

}  // namespace

PITR_WORKER(pitr_confirmer_main) {
  Call([] { BeginWorker(); });
  const bool is_registered = DatumGetInt32(argument) != 0;
  if (!BecomeConfirmer()) {
    return Status::Ok();  // a worker that was started twice
  }
  Confirmer confirmer;
  while (!WorkerMustStop()) {
    const long wait_ms = confirmer.Tick();
    if (!is_registered && !SynchronousSetting()) {
      return Status::Ok();  // the launcher starts it again when it is wanted
    }
    const WorkerSocket socket = confirmer.socket();
    if (Call([&] { return WaitInWorker(wait_ms, socket); })) {
      confirmer.Reloaded();
    }
  }
  // At a stop the WAL sender waits for its client after the last checkpoint, unless the client is gone.
  confirmer.Disconnect();
  Call([] { EndWorker(); });
  return Status::Ok();
}

}  // namespace pitr::pg
