#include "pg/lease_memory.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/process.h"
#include "core/repo/branches.h"
#include "core/types/timeline.h"
#include "pg/archive_report.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/guc.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/tail.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog_internal.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kReminderMs = 300'000;
constexpr std::int64_t kFirstLookMs = 1000, kLastLookMs = 30'000;
constexpr std::int64_t kSleepSliceMs = 50;  // how soon a cancel is seen
constexpr std::size_t kMaxHistory = 1U << 20;

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

Status Pause(std::int64_t milliseconds) {
  const std::int64_t end = Now() + milliseconds;
  while (Now() < end) {
    if (IsProcessCancelled()) {
      return Status(Code::kCancelled, "waiting for the lease was cancelled");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kSleepSliceMs));
  }
  return Status::Ok();
}

std::string NameOf(Repository* repo, const BranchId& id) {
  const Result<BranchSet> branches = ReadBranches(repo);
  const Branch* branch = branches.ok() ? branches->FindId(id) : nullptr;
  return branch != nullptr ? branch->name : id;
}

// The lease moves on by itself, or ends: a server that waits for that goes on without being told.
Status MayBeOther(const Waiting& waiting, const std::string& name) {
  const std::string why =
      waiting.is_mine
          ? "This data directory was its writer, but was moved, copied or booted anew since: "
            "another one may still be at it. "
          : "The primary of this server may still be at it. ";
  return Status(Code::kOtherWriter, "branch \"" + name + "\" may have another writer")
      .WithDetail(why + "The writer is " + waiting.lease.holder.Describe() + ", since " +
                  FormatTime(waiting.lease.since, 0) + ". This server is " +
                  waiting.self.Describe() + ".")
      .WithHint("This server goes on by itself when nothing was heard of that one for " +
                std::to_string(waiting.lease.timeout_seconds) + " s.");
}

// At its end for who only waits; now and then for who is refused, since that one may be shut down.
std::int64_t NextLookMs(const Waiting& waiting) {
  const std::int64_t timeout_ms = waiting.lease.timeout_seconds * 1000;
  if (waiting.is_refused) {
    return std::clamp(timeout_ms / 3, kFirstLookMs, kLastLookMs);
  }
  return std::clamp(std::min(waiting.left_ms, timeout_ms / 6), kFirstLookMs / 10, kLastLookMs);
}

}  // namespace

LeaseTaker TakerFor(const BranchId& branch, const std::string& data_directory) {
  LeaseTaker taker;
  taker.branch = branch;
  taker.self.host = HostName();
  taker.self.data_directory = DataDirectory();
  taker.self.system_identifier = ServerIdentity().system_identifier;
  taker.self.timeline = CurrentTimeline();
  taker.self.postmaster_pid = PostmasterPid;
  taker.data_directory = data_directory;
  taker.timeout_seconds = LeaseTimeoutSetting();
  taker.pause = Pause;
  return taker;
}

std::vector<TimelineId> AncestorsOf(TimelineId timeline) {
  std::vector<TimelineId> ancestors;
  if (timeline <= 1) {
    return ancestors;
  }
  const Result<std::string> text =
      ReadTextFile(JoinPath(XLOGDIR, HistoryName(timeline)), kMaxHistory);
  if (!text.ok()) {
    return ancestors;
  }
  const Result<TimelineHistory> history = TimelineHistory::Parse(timeline, *text);
  if (history.ok()) {
    for (const TimelineSwitch& left : history->ancestors) {
      ancestors.push_back(left.timeline);
    }
  }
  return ancestors;
}

LeaseShared CopyLease() {
  const LockHolder lock(ArchiveLock(), false);
  return GetShared()->lease;
}

Status WaitingStatus(const LeaseShared& known) {
  return Status(Code::kOtherWriter, known.message).WithDetail(known.detail).WithHint(known.hint);
}

std::optional<Lease> HeldLease(std::uint64_t destination) {
  const LeaseShared known = CopyLease();
  if (known.destination != destination || known.stand != LeaseStand::kHeld) {
    return std::nullopt;
  }
  Lease lease;
  lease.token = {known.number, known.nonce};
  lease.since = {known.since};
  return lease;
}

// Without the lock, in which nothing could be written that is worse than an old value: every field here is written whole, and a lease that
// is lost or forgotten is found out at its end at the latest.
bool IsLeaseGood(std::uint64_t destination) noexcept {
  const volatile LeaseShared& lease = GetShared()->lease;
  if (lease.destination != destination) {
    return false;
  }
  return lease.stand == LeaseStand::kStandby ||
         (lease.stand == LeaseStand::kHeld && Now() - lease.renewed_ms < lease.timeout_ms);
}

void NoteHeld(std::uint64_t destination, const Lease& lease, std::int64_t began_ms,
              const Lease* before) {
  bool was_waiting = false;
  {
    const LockHolder lock(ArchiveLock());
    LeaseShared& shared = GetShared()->lease;
    if (shared.destination == destination && shared.stand == LeaseStand::kHeld &&
        shared.number >= lease.token.number) {
      return;
    }
    was_waiting = shared.destination == destination && shared.stand == LeaseStand::kWaiting;
    std::memset(static_cast<void*>(&shared), 0, sizeof shared);
    shared.number = lease.token.number;
    CopyText(lease.token.nonce, shared.nonce, sizeof shared.nonce);
    shared.since = lease.since.micros;
    shared.renewed_ms = began_ms;
    shared.timeout_ms = lease.timeout_seconds * 1000;
    shared.destination = destination;
    shared.stand = LeaseStand::kHeld;
  }
  if (before != nullptr || was_waiting) {
    LogQuietly(LOG, "this server is the writer of its branch from now on",
               before == nullptr ? std::string()
                                 : "Before, it was " + before->holder.Describe() + ", since " +
                                       FormatTime(before->since, 0) + ".");
  }
  if (was_waiting) {
    ForgetFailure(Code::kOtherWriter);
    WakeArchiveWorkers();
    WakeTailShipper();
  }
}

void NoteStandby(std::uint64_t destination) {
  const LockHolder lock(ArchiveLock());
  LeaseShared& shared = GetShared()->lease;
  if (shared.destination != destination || shared.stand != LeaseStand::kStandby) {
    std::memset(static_cast<void*>(&shared), 0, sizeof shared);
    shared.destination = destination;
    shared.stand = LeaseStand::kStandby;
  }
}

void ForgetLease(std::uint64_t destination) {
  const LockHolder lock(ArchiveLock());
  LeaseShared& shared = GetShared()->lease;
  if (shared.destination == destination) {
    shared.stand = LeaseStand::kUnknown;
  }
}

std::int64_t NoteWatched(std::uint64_t destination, const Lease& lease, std::int64_t looked_at_ms) {
  const std::int64_t now = Now();
  const LockHolder lock(ArchiveLock());
  LeaseShared& shared = GetShared()->lease;
  const std::int64_t timeout_ms = lease.timeout_seconds * 1000;
  const bool is_same = shared.destination == destination &&
                       shared.watched_number == lease.token.number &&
                       lease.token.nonce == shared.watched_nonce &&
                       looked_at_ms - shared.watched_last_ms <= timeout_ms / 2;
  if (!is_same) {
    if (shared.destination != destination) {
      std::memset(static_cast<void*>(&shared), 0, sizeof shared);
      shared.destination = destination;
    }
    shared.watched_number = lease.token.number;
    CopyText(lease.token.nonce, shared.watched_nonce, sizeof shared.watched_nonce);
    // After the look: it may have been put right before the store answered.
    shared.watched_since_ms = now;
  }
  shared.watched_last_ms = now;
  return shared.watched_since_ms + timeout_ms - looked_at_ms;
}

Status NoteWaiting(const Waiting& waiting) {
  const std::string name = NameOf(waiting.repo, waiting.identity.branch_id);
  const Status status = waiting.is_refused ? OtherWriter(name, waiting.lease, waiting.self)
                                           : MayBeOther(waiting, name);
  const std::uint64_t destination = DestinationOf(*waiting.repo, waiting.identity);
  const std::int64_t now = Now();
  bool tell = false, was_held = false;
  {
    const LockHolder lock(ArchiveLock());
    LeaseShared& shared = GetShared()->lease;
    if (shared.destination != destination) {
      std::memset(static_cast<void*>(&shared), 0, sizeof shared);
      shared.destination = destination;
    }
    was_held = shared.stand == LeaseStand::kHeld;
    tell = shared.stand != LeaseStand::kWaiting || (shared.is_refused != 0) != waiting.is_refused ||
           now - shared.told_ms >= kReminderMs;
    shared.stand = LeaseStand::kWaiting;
    shared.is_refused = waiting.is_refused ? 1 : 0;
    shared.look_at_ms = now + NextLookMs(waiting);
    if (tell) {
      shared.told_ms = now;
    }
    CopyText(status.message(), shared.message, sizeof shared.message);
    CopyText(status.detail(), shared.detail, sizeof shared.detail);
    CopyText(status.hint(), shared.hint, sizeof shared.hint);
  }
  if (tell) {
    LogStatus(waiting.is_refused ? WARNING : LOG,
              was_held ? "this server has lost its branch" : "nothing is archived", status);
  }
  return status;
}

std::string DescribeHeldLease() {
  const LeaseShared known = CopyLease();
  switch (known.stand) {
    case LeaseStand::kHeld:
      return "this server, since " + FormatTime({known.since}, 0);
    case LeaseStand::kStandby:
      return "not this server, which is a standby";
    case LeaseStand::kUnknown:
    case LeaseStand::kWaiting:
      break;
  }
  return {};
}

}  // namespace pitr::pg
