#include "pg/lease.h"

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/work/control_file.h"
#include "pg/boundary.h"
#include "pg/lease_memory.h"
#include "pg/log.h"
#include "pg/operation_slots.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// Each lost race means that another process of this server, or another server, got through.
constexpr int kAttempts = 4;
constexpr long kTakeOverNapMs = 1000;

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

Status OnStandby(const Repository& repo, std::uint64_t destination) {
  if (!repo.conditional_writes()) {
    return Status(Code::kUnsupported,
                  "a standby cannot write to a repository without conditional writes")
        .WithHint("Set archive_mode = on instead of always: then the primary alone archives.");
  }
  NoteStandby(destination);
  return Status::Ok();
}

LeaseStep StepOf(const LeaseSight& sight) {
  LeaseStep step;
  step.is_mine = sight.is_mine;
  return step;
}

// Whether the lease that was seen may be taken now; kOtherWriter, noted and told, when not.
Status CheckMove(Repository* repo, const Identity& identity, const LeaseTaker& taker,
                 const LeaseSight& sight, std::int64_t looked_at) {
  const LeaseMove move = JudgeLease(sight, taker.self.timeline, AncestorsOf(taker.self.timeline));
  if (move == LeaseMove::kTake || move == LeaseMove::kRenew) {
    return Status::Ok();
  }
  const std::uint64_t destination = DestinationOf(*repo, identity);
  const std::int64_t left = NoteWatched(destination, *sight.newest, looked_at);
  if (move == LeaseMove::kWatch && left <= 0) {
    return Status::Ok();
  }
  return NoteWaiting(
      {repo, identity, taker.self, *sight.newest, move == LeaseMove::kRefuse, sight.is_mine, left});
}

// One attempt. kOtherWriter and kInUse from TakeLease mean that somebody was first, and *again is set.
Status AcquireOnce(Repository* repo, const Identity& identity, const LeaseTaker& taker,
                   bool from_memory, bool* again) {
  const std::uint64_t destination = DestinationOf(*repo, identity);
  const std::int64_t began = Now();
  std::optional<Lease> newest = from_memory ? HeldLease(destination) : std::nullopt;
  LeaseStep step;
  if (newest.has_value()) {
    step = {.is_mine = true, .release = false, .try_store = false};
  } else {
    PITR_ASSIGN_OR_RETURN(const LeaseSight sight, LookAtLease(repo, taker));
    PITR_RETURN_IF_ERROR(CheckMove(repo, identity, taker, sight, began));
    newest = sight.newest;
    step = StepOf(sight);
  }
  const Result<Lease> taken = TakeLease(repo, taker, newest, step);
  if (taken.ok()) {
    NoteHeld(destination, *taken, began, newest.has_value() && !step.is_mine ? &*newest : nullptr);
    return Status::Ok();
  }
  *again = taken.status().code() == Code::kOtherWriter || taken.status().code() == Code::kInUse;
  return taken.status();
}

}  // namespace

std::uint64_t DestinationOf(const Repository& repository, const Identity& identity) {
  // Zero is kept for "none".
  return Xxh3(AsBytes(repository.id() + "/" + identity.branch_id)) | 1;
}

Status HoldLease(Repository* repo, const Identity& identity, LeaseUse use) {
  const std::uint64_t destination = DestinationOf(*repo, identity);
  if (InRecovery()) {
    return OnStandby(*repo, destination);
  }
  const LeaseShared known = CopyLease();
  const std::int64_t now = Now();
  if (known.destination == destination && known.stand == LeaseStand::kHeld &&
      now - known.renewed_ms < known.timeout_ms / (use == LeaseUse::kKeep ? 3 : 2)) {
    return Status::Ok();
  }
  if (known.destination == destination && known.stand == LeaseStand::kWaiting &&
      now < known.look_at_ms) {
    return WaitingStatus(known);
  }
  const LeaseTaker taker = TakerFor(identity.branch_id, DataDirectory());
  Status status;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    bool again = false;
    status = AcquireOnce(repo, identity, taker, attempt == 0, &again);
    if (!again) {
      return status;
    }
  }
  return status;
}

Status ReleaseLease(Repository* repo, const Identity& identity) {
  const std::uint64_t destination = DestinationOf(*repo, identity);
  const std::optional<Lease> held = HeldLease(destination);
  if (!held.has_value()) {
    return Status::Ok();
  }
  const LeaseTaker taker = TakerFor(identity.branch_id, DataDirectory());
  const Status status =
      TakeLease(repo, taker, held, {.is_mine = true, .release = true, .try_store = false}).status();
  if (status.ok()) {
    ForgetLease(destination);
  }
  return status;
}

namespace {

Status PutForLine(Repository* repo, const BranchId& line, const std::string& directory,
                  bool release) {
  LeaseTaker taker = TakerFor(line, directory);
  // Of that line, which who goes on with it must descend from.
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(directory));
  taker.self.timeline = control.timeline;
  PITR_ASSIGN_OR_RETURN(const LeaseSight sight, LookAtLease(repo, taker));
  // The proof is of the directory that was there before this one, when a deleted branch was brought back.
  const bool is_given_back = sight.newest.has_value() && sight.newest->is_released;
  if (sight.newest.has_value() && !sight.is_mine && !is_given_back) {
    return OtherWriter(line, *sight.newest, taker.self);
  }
  return TakeLease(repo, taker, sight.newest,
                   {.is_mine = sight.is_mine, .release = release, .try_store = false})
      .status();
}

}  // namespace

Status HoldLineOf(Repository* repo, const BranchId& line, const std::string& directory) {
  return PutForLine(repo, line, directory, false);
}

Status ReleaseLineOf(Repository* repo, const BranchId& line, const std::string& directory) {
  return PutForLine(repo, line, directory, true);
}

namespace {

Status IsAlive(const std::string& branch_name, const Lease& lease, const LeaseHolder& self) {
  return Status(Code::kOtherWriter, "the writer of branch \"" + branch_name + "\" is alive")
      .WithDetail("It is " + lease.holder.Describe() + ", since " + FormatTime(lease.since, 0) +
                  ". This server is " + self.Describe() + ".")
      .WithHint("Stop that server first: two that write one branch would spoil each other's WAL.");
}

// Until the writer that was seen has not moved for its time.
Result<LeaseSight> WatchWriter(Repository* repo, const Identity& identity, const LeaseTaker& taker,
                               const std::string& branch_name) {
  std::optional<LeaseToken> first;
  for (;;) {
    const std::int64_t looked_at = Now();
    PITR_ASSIGN_OR_RETURN(const LeaseSight sight, LookAtLease(repo, taker));
    if (!sight.newest.has_value() || sight.newest->is_released ||
        (sight.is_mine && sight.is_same_place)) {
      return sight;
    }
    if (first.has_value() && *first != sight.newest->token) {
      return IsAlive(branch_name, *sight.newest, taker.self);
    }
    first = sight.newest->token;
    if (NoteWatched(DestinationOf(*repo, identity), *sight.newest, looked_at) <= 0) {
      return sight;
    }
    CheckInterrupts();
    NapOnLatch(kTakeOverNapMs);
  }
}

}  // namespace

Result<std::optional<std::string>> TakeOverLease(Repository* repo, const Identity& identity,
                                                 const std::string& branch_name) {
  if (InRecovery()) {
    return Status(Code::kNotReady, "this server is a standby, which writes no history of its own")
        .WithHint("Promote it first; then it continues by itself when its primary is gone.");
  }
  const LeaseTaker taker = TakerFor(identity.branch_id, DataDirectory());
  PITR_ASSIGN_OR_RETURN(const LeaseSight sight, WatchWriter(repo, identity, taker, branch_name));
  if (!sight.newest.has_value() || (sight.is_mine && sight.is_same_place)) {
    PITR_RETURN_IF_ERROR(HoldLease(repo, identity));
    return std::optional<std::string>();
  }
  const std::int64_t began = Now();
  const Result<Lease> taken = TakeLease(repo, taker, sight.newest, StepOf(sight));
  if (!taken.ok()) {
    return taken.status().code() == Code::kOtherWriter
               ? IsAlive(branch_name, *sight.newest, taker.self)
               : taken.status();
  }
  NoteHeld(DestinationOf(*repo, identity), *taken, began, &*sight.newest);
  return std::optional<std::string>(sight.newest->holder.Describe());
}

}  // namespace pitr::pg
