// Archive workers: they ship files that wait while the archiver confirms one after the other, so that several are on their way
// at once. The archiver finds them shipped. A worker that is gone is never missed: the archiver ships by itself.
//
//   idle ──(archiving is on, number < pitr.archive_workers)──► scan ──► ship what can be claimed ──► scan …
//     ▲                                                          │ nothing to do: wait 0.2 s, growing to 1 s
//     └──────────────(settings say no)───────────────────────────┘ a failure: wait 1 s, growing to 30 s
#include <malloc.h>

#include <map>

#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "pg/archive_report.h"
#include "pg/archive_ship.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
}

namespace pitr::pg {

namespace {

constexpr long kBusyPollMs = 200;
constexpr long kIdlePollMs = 1000;
constexpr long kSleepMs = 10'000;  // nothing to do until the settings change, which sets the latch
constexpr std::int64_t kFirstRetryMs = 1000;
constexpr std::int64_t kLastRetryMs = 30'000;

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

class ArchiveWorker {
 public:
  explicit ArchiveWorker(int number)
      : number_(number),
        retry_(kFirstRetryMs, kLastRetryMs, static_cast<std::uint64_t>(MyProcPid)) {}

  // Ships what there is. Returns for how long to wait then.
  long Tick();
  // The settings may have changed: whatever failed is tried again at once.
  void Reloaded() {
    retry_.Reset();
    avoided_.clear();
    poll_ms_ = kBusyPollMs;
  }

 private:
  bool IsWanted() const;
  bool IsAvoided(const std::string& name);
  bool ShipNext(const std::vector<std::string>& names);
  void FailedWithStore();
  void FailedWithFile(const std::string& name);

  const int number_;
  Shipper shipper_;
  Backoff retry_;
  std::map<std::string, Backoff> avoided_;  // files that fail by themselves
  long poll_ms_ = kBusyPollMs;
};

bool ArchiveWorker::IsWanted() const {
  if (number_ >= ArchiveWorkersSetting() || !HasRepositorySetting() || !IsArchivingHere()) {
    return false;
  }
  // As the archiver: on a standby only when it archives as well.
  return XLogArchiveMode == ARCHIVE_MODE_ALWAYS || !Call([] { return RecoveryInProgress(); });
}

bool ArchiveWorker::IsAvoided(const std::string& name) {
  const auto found = avoided_.find(name);
  return found != avoided_.end() && !found->second.IsDue(Now());
}

void ArchiveWorker::FailedWithStore() {
  retry_.Failed(Now());
  // Opened anew next time: the folder may be another one by then.
  shipper_.Close();
}

void ArchiveWorker::FailedWithFile(const std::string& name) {
  avoided_.try_emplace(name, kFirstRetryMs, kLastRetryMs, static_cast<std::uint64_t>(MyProcPid))
      .first->second.Failed(Now());
}

// The first file that can be claimed. False when there is none, or it failed.
bool ArchiveWorker::ShipNext(const std::vector<std::string>& names) {
  PITR_FAULT_PLAIN("archive_worker.listed");
  for (const std::string& name : names) {
    if (WorkerMustStop()) {
      return false;
    }
    if (IsAvoided(name)) {
      continue;
    }
    const Result<Shipper::Verdict> verdict =
        shipper_.Ship(name, JoinPath(XLOGDIR, name), Shipper::Claiming::kPolite);
    if (!verdict.ok()) {
      if (ScopeOf(verdict.status().code()) == FailureScope::kStore) {
        FailedWithStore();
        return false;
      }
      FailedWithFile(name);
      continue;
    }
    switch (*verdict) {
      case Shipper::Verdict::kShipped:
        PITR_FAULT_PLAIN("archive_worker.shipped");
        avoided_.erase(name);
        retry_.Reset();
        return true;
      case Shipper::Verdict::kNoRoom:
        ForgetNotes(IsReady);
        return false;
      case Shipper::Verdict::kDurable:
      case Shipper::Verdict::kBusy:
      case Shipper::Verdict::kGone:
        break;
    }
  }
  return false;
}

long ArchiveWorker::Tick() {
  if (!IsWanted()) {
    shipper_.Close();
    return kSleepMs;
  }
  if (!retry_.IsDue(Now())) {
    return static_cast<long>(retry_.WaitMs(Now()));
  }
  // Files that appear while one is shipped may have to go first (history files): the list is made anew each time.
  const Result<ReadyFiles> ready =
      ListReadyFiles(static_cast<std::size_t>(CurrentSettings().archive_look_ahead));
  if (!ready.ok()) {
    RecordFailure("", FailureScope::kStore, ready.status());
    retry_.Failed(Now());
    return static_cast<long>(retry_.WaitMs(Now()));
  }
  if (!ready->names.empty()) {
    const Status opened = shipper_.Open();
    if (opened.code() == Code::kOtherWriter) {
      return kIdlePollMs;  // the archiver tells of it
    }
    if (!opened.ok()) {
      RecordFailure(ready->names.front(), FailureScope::kStore, opened);
      FailedWithStore();
      return static_cast<long>(retry_.WaitMs(Now()));
    }
    if (ShipNext(ready->names)) {
      poll_ms_ = kBusyPollMs;
      return 0;
    }
  } else {
    avoided_.clear();
  }
  if (!retry_.IsDue(Now())) {
    return static_cast<long>(retry_.WaitMs(Now()));
  }
  const long wait = poll_ms_;
  poll_ms_ = ready->names.empty() ? std::min(kIdlePollMs, poll_ms_ * 3 / 2) : kBusyPollMs;
  return wait;
}

// Each segment takes the same few buffers. Given back in between, they cost some 3 % of the processor time, in page faults.
void KeepFreedMemory() {
  constexpr int kKept = 32 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kKept);
  ::mallopt(M_TRIM_THRESHOLD, kKept);
}

}  // namespace

PITR_WORKER(pitr_archive_worker_main) {
  Call([] { BeginWorker(); });
  const int number = DatumGetInt32(argument);
  ReleaseClaimsAtExit();
  if (!TakeArchiveWorkerSlot(number)) {
    return Status::Ok();  // a worker that was started twice
  }
  KeepFreedMemory();
  WaitForConfirmation();
  ArchiveWorker worker(number);
  while (!WorkerMustStop()) {
    if (number >= RegisteredArchiveWorkers() && number >= ArchiveWorkersSetting()) {
      return Status::Ok();  // the launcher starts it again when it is wanted
    }
    const long wait_ms = worker.Tick();
    if (Call([&] { return WaitInWorker(wait_ms); })) {
      worker.Reloaded();
    }
  }
  Call([] { EndWorker(); });
  return Status::Ok();
}

}  // namespace pitr::pg
