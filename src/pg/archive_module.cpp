// The archive module: what the archiver calls for each file that waits. It says yes only to what is durable in the repository.
//
// The archiver has no transaction, and until 16 nothing catches an error that leaves the callback: it would become FATAL. So
// none does, in any version: a failure is told once and the answer is no (conventions 5.6). The callback never depends on a
// worker: it waits for a living one that has the file in hand, for a bounded time, and ships what nobody has.
//
// The server asks again a second after a no, three times, then whenever a segment is ready, with a WARNING each time. So the
// pause between attempts is made here, before an attempt, as long as a launcher lives: it is gone when the server stops. In the
// last round before that a store that is away is asked once, and the archiver ends: three times would hold the stop for seconds.
#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/store/http.h"
#include "pg/archive_drop.h"
#include "pg/archive_report.h"
#include "pg/archive_ship.h"
#include "pg/boundary.h"
#include "pg/exchange.h"
#include "pg/guc.h"
#include "pg/last_round.h"
#include "pg/log.h"
#include "pg/shmem.h"
#include "pg/version.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#if PITR_ARCHIVE_STATE
#include "archive/archive_module.h"
#else
#include "postmaster/pgarch.h"
#endif
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
}

namespace pitr::pg {

namespace {

// A segment of 16 MB takes a worker a fraction of a second, one of 1 GB some ten seconds.
constexpr std::int64_t kPatienceMs = 30'000;
constexpr long kPollMicros = 20'000;
constexpr int kPollsPerLook = 50;  // a second
constexpr std::int64_t kCountAgainMicros = 1'000'000;

struct Archiver {
  Shipper shipper{&ArchiverCancel()};
  Backoff retry{1000, 30'000, static_cast<std::uint64_t>(MyProcPid)};
};

// Never destroyed: the process ends by exit() with C++ frames alive.
Archiver& MyArchiver() {
  static Archiver* archiver = nullptr;
  if (archiver == nullptr) {
    ReleaseClaimsAtExit();
    SetProcessCancel(&ArchiverCancel());
    archiver = new Archiver;
  }
  return *archiver;
}

// The server read its list some time ago: a history file may be there by now, or a segment before one that is refused.
bool OtherGoesFirst(const std::string& name) {
  const Result<ReadyFiles> ready = ListReadyFiles(1);
  return ready.ok() && !ready->names.empty() && ready->names.front() != name;
}

// Until the next attempt is due, or a worker has got through. False: answer no now, the server has something else to do.
bool WaitForNextAttempt(const std::string& name, Backoff* retry) {
  for (int poll = 0; !retry->IsDue(SystemClock().MonotonicMillis()); poll++) {
    if (!IsArchiveFailing()) {
      retry->Reset();
    } else if (ConfigReloadPending) {
      retry->Reset();
      return false;
    } else if (ArchiverCancel().IsCancelled()) {
      return false;
    } else if (!HasLauncher()) {
      return true;
    } else if (poll % kPollsPerLook == 0 && OtherGoesFirst(name)) {
      return false;
    } else {
      // Not on the latch: resetting it could swallow the order to stop, which the archiver itself waits for.
      pg_usleep(kPollMicros);
    }
  }
  return true;
}

// As workers do (WaitForConfirmation), but never so long that a stop of the server would be held.
void WaitWhileUnconfirmed() {
  for (int poll = 0; poll < 2 * kPollsPerLook && IsExchangeUnconfirmed(); poll++) {
    pg_usleep(kPollMicros);  // not on the latch, as above
  }
}

void AttemptFailed(Backoff* retry) {
  retry->Failed(SystemClock().MonotonicMillis());
  if (!HasLauncher() && IsServerShutDown()) {
    LogQuietly(LOG, "WAL that waits to be archived is kept until the server starts again");
    Call([] { proc_exit(0); });
  }
}

// With no worker around nobody else counts what waits.
void CountIfStale() {
  std::int64_t counted_at = 0;
  {
    const LockHolder lock(ArchiveLock(), false);
    counted_at = GetShared()->archive.ready_counted_at;
  }
  if (SystemClock().Now().micros - counted_at > kCountAgainMicros) {
    CountReadyFiles();
  }
}

// Ships or finds shipped. `mine`: by this process. False = not now; why was recorded.
bool MakeDurable(Shipper* shipper, const std::string& name, const std::string& path, bool* mine) {
  const std::int64_t give_up = SystemClock().MonotonicMillis() + kPatienceMs;
  for (;;) {
    const bool patient = SystemClock().MonotonicMillis() < give_up;
    const Result<Shipper::Verdict> verdict = shipper->Ship(
        name, path, patient ? Shipper::Claiming::kWithoutRoom : Shipper::Claiming::kTakeFromLiving);
    if (!verdict.ok()) {
      // Opened anew next time: the folder may be another one by then.
      shipper->Close();
      return false;
    }
    switch (*verdict) {
      case Shipper::Verdict::kShipped:
      case Shipper::Verdict::kDurable:
        *mine = *verdict == Shipper::Verdict::kShipped;
        return true;
      case Shipper::Verdict::kGone:
      case Shipper::Verdict::kNoRoom:
        return false;
      case Shipper::Verdict::kBusy:
        break;
    }
    if (ArchiverCancel().IsCancelled()) {
      return false;
    }
    pg_usleep(kPollMicros);  // not on the latch, as above
  }
}

Status ArchiveOne(const std::string& name, const std::string& path, bool* archived) {
  PITR_RETURN_IF_ERROR(RequireShared());
  Archiver& archiver = MyArchiver();
  WakeArchiveWorkers();
  WaitWhileUnconfirmed();
  PITR_ASSIGN_OR_RETURN(*archived, LetGo(name, archiver.shipper.destination()));
  if (*archived) return Status::Ok();
  if (!WaitForNextAttempt(name, &archiver.retry)) {
    return Status::Ok();
  }
  CountIfStale();
  const Status opened = archiver.shipper.Open();
  if (!opened.ok()) {
    RecordFailure(name, FailureScope::kStore, opened);
    AttemptFailed(&archiver.retry);
    return Status::Ok();
  }
  bool mine = false;
  if (!MakeDurable(&archiver.shipper, name, path, &mine)) {
    AttemptFailed(&archiver.retry);
    return Status::Ok();
  }
  if (mine) {
    PITR_FAULT("archiver.after_ship");
  }
  PITR_FAULT("archiver.before_confirm");
  archiver.retry.Reset();
  Confirm(name);
  *archived = true;
  return Status::Ok();
}

bool ArchiveShell(const char* file, const char* path) {
  bool archived = false;
  Report report;
  const Outcome outcome = Run([&] { return ArchiveOne(file, path, &archived); }, &report);
  if (outcome != Outcome::kOk) {
    LogAndDrop(outcome, report, WARNING);
    return false;
  }
  return archived;
}

void ShutdownShell() noexcept {
  if (GetShared() != nullptr) {
    Report report;
    const Outcome outcome = Run([] { ShipLastWal(&MyArchiver().shipper); }, &report);
    if (outcome != Outcome::kOk) {
      LogAndDrop(outcome, report, WARNING);
    }
  }
}

// nullptr when archiving is configured.
const char* WhyNotConfigured() {
  if (GetShared() == nullptr) {
    return "pitr_ext must be loaded via shared_preload_libraries.";
  }
  if (!HasRepositorySetting()) {
    return "pitr.repository is not set.";
  }
  return nullptr;
}

bool CheckConfiguredShell() {
  const char* why = WhyNotConfigured();
#if PITR_ARCHIVE_ERRDETAIL
  if (why != nullptr) {
    arch_module_check_errdetail("%s", why);
  }
#else
  // The server says only that archiving is not configured, at each try; why is told once.
  static const char* told = nullptr;
  if (why != nullptr && why != told) {
    LogQuietly(LOG, "archiving is not configured", why);
  }
  told = why;
#endif
  return why == nullptr;
}

}  // namespace

}  // namespace pitr::pg

extern "C" {

#if PITR_ARCHIVE_STATE

static bool pitr_check_configured(ArchiveModuleState*) { return pitr::pg::CheckConfiguredShell(); }

static bool pitr_archive_file(ArchiveModuleState*, const char* file, const char* path) {
  return pitr::pg::ArchiveShell(file, path);
}

static void pitr_shutdown(ArchiveModuleState*) { pitr::pg::ShutdownShell(); }

const ArchiveModuleCallbacks* _PG_archive_module_init(void) {
  static const ArchiveModuleCallbacks callbacks = {
      .startup_cb = nullptr,
      .check_configured_cb = pitr_check_configured,
      .archive_file_cb = pitr_archive_file,
      .shutdown_cb = pitr_shutdown,
  };
  return &callbacks;
}

#else

static bool pitr_check_configured(void) { return pitr::pg::CheckConfiguredShell(); }

static bool pitr_archive_file(const char* file, const char* path) {
  return pitr::pg::ArchiveShell(file, path);
}

static void pitr_shutdown(void) { pitr::pg::ShutdownShell(); }

PGDLLEXPORT void _PG_archive_module_init(ArchiveModuleCallbacks* callbacks);

void _PG_archive_module_init(ArchiveModuleCallbacks* callbacks) {
  callbacks->check_configured_cb = pitr_check_configured;
  callbacks->archive_file_cb = pitr_archive_file;
  callbacks->shutdown_cb = pitr_shutdown;
}

#endif
}
