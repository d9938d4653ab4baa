#include "pg/completion.h"

#include <algorithm>
#include <cstring>

#include "core/base/backoff.h"
#include "core/base/json.h"
#include "core/demand/filler.h"
#include "core/repo/branches.h"
#include "pg/boundary.h"
#include "pg/demand.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kStartAgainMicros = 5'000'000;
constinit std::int64_t next_start = 0;

// Between two frames: interrupts (barriers of DROP DATABASE among them), a changed rate.
void Nap(long milliseconds) {
  Call([milliseconds] {
    if (milliseconds > 0) {
      WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
                PG_WAIT_EXTENSION);
      ResetLatch(MyLatch);
    }
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
  });
}

class Completion {
 public:
  Completion(const demand::Directory* directory, RunningOperation* operation)
      : directory_(directory),
        operation_(operation),
        filler_(directory),
        total_(directory->AbsentBytes()) {}

  Status Run();
  std::uint64_t total() const { return total_; }

 private:
  void Fill();
  void Pace(std::uint64_t bytes);
  void Failed();
  void Report();

  const demand::Directory* directory_;
  RunningOperation* operation_;
  demand::Filler filler_;
  const std::uint64_t total_;
  Backoff backoff_{1000, 30'000, static_cast<std::uint64_t>(MyProcPid)};
  StateLog log_{"pitr completion"};
  std::int64_t ahead_until_ms_ = 0, reported_at_ = 0;
};

void Completion::Report() {
  const std::int64_t now = SystemClock().MonotonicMillis();
  if (now - reported_at_ < 200) return;
  reported_at_ = now;
  operation_->SetProgress(total_ - std::min(total_, directory_->AbsentBytes()), total_);
}

// At pitr.fill_rate: what was loaded takes its time, in naps short enough for a changed setting.
void Completion::Pace(std::uint64_t bytes) {
  const std::int64_t now = SystemClock().MonotonicMillis();
  const int rate = FillRateSetting();
  if (rate > 0) {
    ahead_until_ms_ =
        std::max(ahead_until_ms_, now) + static_cast<std::int64_t>(bytes / 1024) * 1000 / rate;
  } else {
    ahead_until_ms_ = 0;
  }
  Nap(0);
  while (FillRateSetting() > 0 && SystemClock().MonotonicMillis() < ahead_until_ms_) {
    Nap(static_cast<long>(
        std::min<std::int64_t>(ahead_until_ms_ - SystemClock().MonotonicMillis(), 200) + 1));
    Report();
  }
}

// One frame could not be had: the others are gone on with, after a while that grows when it was not the only one.
void Completion::Failed() {
  log_.Tell(Status(Code::kIo, "a page could not be loaded")
                .WithDetail(demand::Directory::LastFailure()->text));
  demand::Directory::ForgetFailure();
  operation_->SetPhase("waiting");
  const std::int64_t now = SystemClock().MonotonicMillis();
  backoff_.Failed(now);
  while (!backoff_.IsDue(SystemClock().MonotonicMillis())) {
    Nap(static_cast<long>(
        std::min<std::int64_t>(backoff_.WaitMs(SystemClock().MonotonicMillis()) + 1, 1000)));
    Report();
  }
  operation_->SetPhase("load");
}

void Completion::Fill() {
  int error = 0;
  std::uint64_t bytes = 0;
  while (filler_.Step(&error, &bytes)) {
    if (error != 0) {
      Failed();
    } else if (bytes > 0) {
      backoff_.Reset();
      log_.Tell(Status::Ok());
    }
    Pace(bytes);
    Report();
  }
}

Status Completion::Run() {
  operation_->SetPhase("load");
  do {
    Fill();
    operation_->SetPhase("sync");
    Nap(0);
    if (const int error = filler_.SyncFiles(); error != 0) {
      // The kernel may have dropped pages that it could not write: recovery makes them again (internals 2e).
      RaisePanic(error, "could not fsync a relation file that was loaded");
    }
    operation_->SetPhase("load");
  } while (filler_.NextRound());
  PITR_RETURN_IF_ERROR(demand::RemoveFolder(directory_->path()));
  DirectoryIsComplete();
  operation_->SetProgress(total_, total_);
  return Status::Ok();
}

bool IsCompleting() {
  const std::vector<OperationSlot> slots = AllOperations();
  return std::any_of(slots.begin(), slots.end(), [](const OperationSlot& slot) {
    return std::strcmp(slot.kind, kCompletion) == 0 && slot.finished_at == 0;
  });
}

}  // namespace

Result<Json> RunCompletion(RunningOperation* operation) {
  Json result;
  const demand::Directory* directory = IncompleteDirectory();
  result["bytes_total"] = directory == nullptr ? 0 : directory->AbsentBytes();
  if (directory == nullptr) return result;
  Completion completion(directory, operation);
  PITR_RETURN_IF_ERROR(completion.Run());
  LogQuietly(LOG, "pitr_ext: the data directory is complete: " +
                      std::to_string(completion.total() >> 20) + " MiB were loaded");
  return result;
}

Status KeepCompleting(Repository* repo, const Identity& identity) {
  const std::int64_t now = SystemClock().Now().micros;
  if (IncompleteDirectory() == nullptr || now < next_start || IsCompleting()) return Status::Ok();
  next_start = now + kStartAgainMicros;
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  const Branch* self = branches.FindId(identity.branch_id);
  NewOperation operation;
  operation.kind = kCompletion;
  operation.branch = self == nullptr ? identity.branch_id : self->name;
  operation.branch_id = identity.branch_id;
  operation.request = Json::object();
  operation.wait = false;
  const Result<std::string> started = StartOperationNow(operation);
  // No worker is free: later.
  return started.ok() || started.status().code() == Code::kLimit ||
                 started.status().code() == Code::kLockTimeout
             ? Status::Ok()
             : started.status();
}

}  // namespace pitr::pg
