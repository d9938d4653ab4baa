// The tail shipper: each pitr.tail_interval it brings the flushed part of the open segment into the repository, when something
// was flushed since; at once when a session waits for that. It makes the heartbeat as well, so that this takes no further worker.
//
// While commits wait for the repository (synchronous.h) it ships whenever something was flushed: the confirmer wakes it, and what
// is flushed while one piece is under way goes into the next.
//
// Otherwise nobody waits for it but who asked. A store that is away is told of once and tried again after a pause that grows.
#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/store/http.h"
#include "pg/archive_claims.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/heartbeat.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/synchronous.h"
#include "pg/tail.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
}

namespace pitr::pg {

namespace {

constexpr long kLookMs =
    1000;  // at the server: how old what is not durable is known to be is as exact
constexpr long kSleepMs = 10'000;  // nothing to do until the settings change, which sets the latch
constexpr long kSoonMs = 50;       // another process is at a file that is needed
constexpr std::int64_t kFirstRetryMs = 1000;
constexpr std::int64_t kLastRetryMs = 30'000;
constexpr std::int64_t kWaitedForRetryMs = 2000;  // while commits wait

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

// Whoever has made a database connection must answer barriers (a DROP DATABASE waits for them), so an upload gives way to one
// and is begun again.
class TailCancel final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override {
    return ServerCancel().IsCancelled() || ProcSignalBarrierPending != 0;
  }
};

const CancelToken& WorkerCancel() {
  static constinit TailCancel token;
  return token;
}

class TailWorker {
 public:
  TailWorker()
      : tail_(&WorkerCancel()),
        retry_(kFirstRetryMs, kLastRetryMs, static_cast<std::uint64_t>(MyProcPid)) {}

  // Does what is due. Returns for how long to wait then.
  long Tick();
  void Reloaded() { retry_.Reset(); }

 private:
  static bool IsWanted();
  long ShipWaitedFor();
  long TidyUp(long look_ms);
  long After(const Status& status);

  Tail tail_;
  Heartbeat heartbeat_;
  Backoff retry_;
  StateLog log_{"pitr tail shipper"};
  std::int64_t due_ms_ = 0;     // of the next piece
  std::int64_t tidy_ms_ = 0;    // of the next look for pieces that were replaced
  std::int64_t failed_ms_ = 0;  // the last failure
};

// As the archiver: on a standby only when it archives as well.
bool TailWorker::IsWanted() {
  return IsArchivingHere() &&
         (XLogArchiveMode == ARCHIVE_MODE_ALWAYS || !Call([] { return RecoveryInProgress(); }));
}

long TailWorker::After(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      retry_.Reset();
      log_.Tell(status);
      return 0;
    case Code::kCancelled:
      tail_.Close();
      return 1;
    case Code::kNotReady:
      return kSoonMs;
    case Code::kOtherWriter:
      return kLookMs;  // the log was told; what is known is in shared memory
    default:
      tail_.Close();
      log_.Tell(status);
      retry_.Failed(Now());
      failed_ms_ = Now();
      return kLookMs;
  }
}

// Pieces that a whole segment has replaced. A failure is told as one of shipping: it is the same store.
long TailWorker::TidyUp(long look_ms) {
  const std::int64_t now = Now();
  if (!tail_.HasReplaceable() || now < tidy_ms_ || !retry_.IsDue(now)) {
    return look_ms;
  }
  tidy_ms_ = now + kLookMs;
  const long pause = After(tail_.RemoveReplaced());
  return pause > 0 ? pause : look_ms;
}

// Commits wait, so there is no pause after a piece, and a short one after a failure.
long TailWorker::ShipWaitedFor() {
  if (!tail_.IsBehind(Tail::Reach::kFlushed)) {
    return TidyUp(kLookMs);
  }
  const std::int64_t now = Now();
  const std::int64_t wait_ms = std::min(retry_.WaitMs(now), failed_ms_ + kWaitedForRetryMs - now);
  if (wait_ms > 0) {
    return static_cast<long>(wait_ms);
  }
  const Lsn before = tail_.durable();
  const long pause = After(tail_.Ship(Tail::Reach::kFlushed));
  if (pause > 0) {
    return pause;
  }
  // Held back by a finished segment that somebody else ships.
  return tail_.durable() > before ? 0 : kSoonMs;
}

long TailWorker::Tick() {
  if (!HasRepositorySetting()) {
    tail_.Close();
    return kSleepMs;
  }
  if (IsShipAsked()) {
    // Not held back by failures: who waits wants to know.
    const long pause = After(AnswerShipRequest(&tail_));
    if (pause > 0) {
      return pause;
    }
  }
  if (!IsWanted()) {
    return kLookMs;
  }
  heartbeat_.Tick(Now());
  if (DoCommitsWait()) {
    return ShipWaitedFor();
  }
  const long interval_ms = TailIntervalSetting();
  const Tail::Reach reach =
      interval_ms == 0 ? Tail::Reach::kFinishedSegments : Tail::Reach::kFlushed;
  const long look_ms = interval_ms == 0 ? kLookMs : std::min(kLookMs, interval_ms);
  if (!tail_.IsBehind(reach)) {
    return TidyUp(look_ms);
  }
  const std::int64_t now = Now();
  if (now < due_ms_ || !retry_.IsDue(now)) {
    return std::min(look_ms, static_cast<long>(std::max(due_ms_ - now, retry_.WaitMs(now))));
  }
  // From begin to begin: what shipping takes is no pause.
  due_ms_ = now + look_ms;
  if (interval_ms > 0) {
    due_ms_ = now + interval_ms;
  }
  const long pause = After(tail_.Ship(reach));
  return pause > 0
             ? pause
             : std::min(look_ms, static_cast<long>(std::max<std::int64_t>(1, due_ms_ - Now())));
}

}  // namespace

PITR_WORKER(pitr_tail_worker_main) {
  Call([] { BeginWorker(); });
  SetProcessCancel(&WorkerCancel());
  ReleaseClaimsAtExit();
  if (!BecomeTailShipper()) {
    return Status::Ok();  // a worker that was started twice
  }
  WaitForConfirmation();
  TailWorker worker;
  while (!WorkerMustStop()) {
    const long wait_ms = worker.Tick();
    if (Call([&] { return WaitInWorker(wait_ms); })) {
      worker.Reloaded();
    }
  }
  Call([] { EndWorker(); });
  return Status::Ok();
}

}  // namespace pitr::pg
