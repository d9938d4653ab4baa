// The launcher: one per server. It keeps the repository open, makes sure that this data directory has its identity, renews the lease of
// its branch (lease.h), keeps the number of archive workers, wakes an archiver that waits after a failure, and does its duties (launcher_duties.h) each second.
#include <algorithm>
#include <memory>
#include <optional>

#include "core/base/backoff.h"
#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/repo/branches.h"
#include "pg/archive_forgotten.h"
#include "pg/archive_report.h"
#include "pg/archive_ship.h"
#include "pg/boundary.h"
#include "pg/branch_sizes.h"
#include "pg/completion.h"
#include "pg/compute_keeper.h"
#include "pg/event_watch.h"
#include "pg/exchange_worker.h"
#include "pg/guc.h"
#include "pg/identity.h"
#include "pg/idle_watch.h"
#include "pg/launcher_duties.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/replicas.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/synchronous.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/pgarch.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
}

namespace pitr::pg {

namespace {

constexpr long kTickMs = 1000;
constexpr std::int64_t kFirstRetryMs = 1000;
constexpr std::int64_t kLastRetryMs = 30'000;
// The archiver waits a minute after three failures unless it is woken (PGARCH_AUTOWAKE_INTERVAL). And an archiver that ended
// within ten seconds of its start, by a crash cycle perhaps, is started again only when something wakes the postmaster.
constexpr std::int64_t kLookAtArchiverMs = 5000;
constexpr std::int64_t kStartWorkersMs = 5000;
constexpr std::int64_t kLookAtNameMs = 30'000;
// What some requests to a slow store may take, however short the lease is.
constexpr std::int64_t kLeaseWaitMs = 10'000;

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

class Launcher {
 public:
  Launcher() : retry_(kFirstRetryMs, kLastRetryMs, static_cast<std::uint64_t>(MyProcPid)) {}

  void Tick();
  void Reloaded() { retry_.Reset(); }
  void End() { events_.End(); }

 private:
  Status Open();
  Status DoDuties();
  Status KeepLease();
  Status LookAtName();
  void Close();
  void KeepArchiveWorkers();
  void KeepConfirmer();
  void RemindArchiver();
  void NudgeArchiver();

  RepositoryAccess access_;
  std::int64_t loaded_at_ = 0;  // of the settings
  std::unique_ptr<Repository> repository_;
  std::optional<Identity> identity_;
  std::string started_with_;  // id of the repository that LauncherStartup has seen
  Backoff retry_;
  StateLog log_{"pitr launcher"};
  Replicas replicas_;
  BranchSizer sizer_;
  ComputeKeeper computes_;
  IdleWatch idle_;
  EventWatch events_;
  std::string branch_name_;  // of this server's branch, as it was last seen
  std::int64_t named_at_ = 0;
  std::int64_t archiver_looked_at_ = 0, workers_started_at_ = 0, confirmer_started_at_ = 0;
  std::uint64_t archived_count_ = 0;
  bool reminded_ = false;
};

Status Launcher::Open() {
  const Settings settings = CurrentSettings();
  if (repository_ != nullptr && settings.repository == access_ &&
      settings.loaded_at == loaded_at_) {
    return Status::Ok();
  }
  Close();
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<Repository> repository, OpenConfiguredRepository());
  PITR_ASSIGN_OR_RETURN(Identity identity, EnsureIdentity(repository.get()));
  access_ = settings.repository;
  loaded_at_ = settings.loaded_at;
  repository_ = std::move(repository);
  identity_ = std::move(identity);
  return Status::Ok();
}

void Launcher::Close() {
  repository_.reset();
  identity_.reset();
}

// A store that does not answer is not waited for until the lease is over: everything else would stand still as well.
Status Launcher::KeepLease() {
  if (InRecovery()) {
    return Status::Ok();
  }
  const WaitLimit limit(std::max<std::int64_t>(kLeaseWaitMs, LeaseTimeoutSetting() * 1000 / 3));
  return HoldLease(repository_.get(), *identity_, LeaseUse::kKeep);
}

Status Launcher::DoDuties() {
  PITR_RETURN_IF_ERROR(Open());
  // Of this directory alone: whoever the writer of its branch is.
  if (CheckNoExchangePending().ok()) {
    PITR_RETURN_IF_ERROR(KeepCompleting(repository_.get(), *identity_));
  }
  const Status lease = KeepLease();
  if (!lease.ok()) {
    // Another writer's branch is not ours to keep in order; the log was told.
    return lease.code() == Code::kOtherWriter ? Status::Ok() : lease;
  }
  if (started_with_ != repository_->id()) {
    PITR_RETURN_IF_ERROR(LauncherStartup(repository_.get(), *identity_));
    started_with_ = repository_->id();
  }
  if (Now() - named_at_ >= kLookAtNameMs) PITR_RETURN_IF_ERROR(LookAtName());
  return LauncherTick(repository_.get(), *identity_, &sizer_, &computes_, &idle_);
}

Status Launcher::LookAtName() {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repository_.get()));
  const Branch* branch = branches.FindId(identity_->branch_id);
  if (branch != nullptr) branch_name_ = branch->name;
  named_at_ = Now();
  return Status::Ok();
}

// Workers that were registered when the server started come back by themselves; those that a raised setting asks for are
// started here, and end by themselves when it is lowered.
void Launcher::KeepArchiveWorkers() {
  if (Now() - workers_started_at_ < kStartWorkersMs || !HasRepositorySetting() ||
      !IsArchivingHere()) {
    return;
  }
  workers_started_at_ = Now();
  for (int number = RegisteredArchiveWorkers(); number < ArchiveWorkersSetting(); number++) {
    if (!IsArchiveWorkerRunning(number) && !StartArchiveWorker(number)) {
      return;  // no free slot: archiving works without
    }
  }
}

// As archive workers: the one that was registered comes back by itself.
void Launcher::KeepConfirmer() {
  if (!SynchronousSetting() || HasConfirmer() || !HasRepositorySetting() || !IsArchivingHere() ||
      Now() - confirmer_started_at_ < kStartWorkersMs) {
    return;
  }
  confirmer_started_at_ = Now();
  (void)StartConfirmer();  // no free slot: pitr_check says so
}

// Once, when the server has started: see archive_forgotten.h.
void Launcher::RemindArchiver() {
  if (reminded_ || !HasRepositorySetting() || !IsArchivingHere() || InRecovery()) {
    return;
  }
  RemindArchiverOfForgottenWal();
  reminded_ = true;
}

// When files wait and none was confirmed for a while.
void Launcher::NudgeArchiver() {
  if (Now() - archiver_looked_at_ < kLookAtArchiverMs || !HasRepositorySetting() ||
      !IsArchivingHere()) {
    return;
  }
  archiver_looked_at_ = Now();
  const std::uint64_t archived = ReadArchiveCounters().archived_count;
  const bool stands_still = archived == archived_count_ && CountReadyFiles() > 0;
  archived_count_ = archived;
  (void)IsArchiveFailing();  // forgets the failure of a file that waits no more
  if (stands_still) {
    // The signal that changes the least: the postmaster looks through its workers, and for processes that it misses.
    Call([] {
      PgArchWakeup();
      SendPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE);
    });
  }
}

void Launcher::Tick() {
  KeepArchiveWorkers();
  KeepConfirmer();
  RemindArchiver();
  NudgeArchiver();
  replicas_.TakeSettings();
  events_.Tick(branch_name_);
  if (!HasRepositorySetting()) {
    Close();
    return;
  }
  // A repository that is to be made is made by whoever has the identity to do so: first thing below.
  if (identity_) replicas_.Tick();
  if (!retry_.IsDue(Now())) {
    return;
  }
  const Status status = DoDuties();
  if (status.code() == Code::kCancelled) {
    return;
  }
  log_.Tell(status);
  if (status.ok()) {
    retry_.Reset();
  } else {
    // Opened anew next time: the folder may be another one by then.
    Close();
    retry_.Failed(Now());
  }
}

void Announce() {
  const LockHolder lock(OperationsLock());
  OperationsShared& operations = GetShared()->operations;
  operations.launcher_pid = MyProcPid;
  operations.launcher_latch = reinterpret_cast<std::uint64_t>(MyLatch);
}

}  // namespace

PITR_WORKER(pitr_launcher_main) {
  Call([] { BeginWorker(); });
  Announce();
  Launcher launcher;
  while (!WorkerMustStop()) {
    // Before anything else: sessions are refused until an exchange that has happened is confirmed.
    LauncherConfirmExchange();
    launcher.Tick();
    if (Call([] { return WaitInWorker(kTickMs); })) {
      launcher.Reloaded();
    }
  }
  launcher.End();
  Call([] { EndWorker(); });
  return Status::Ok();
}

}  // namespace pitr::pg
