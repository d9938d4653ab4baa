#include "pg/compute_keeper.h"

#include <algorithm>
#include <csignal>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/idle_server.h"
#include "core/work/living_server.h"
#include "core/work/look.h"
#include "pg/branch_room.h"
#include "pg/compute.h"
#include "pg/log.h"
#include "pg/operation_slots.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kMostAtOnce = 4;
constexpr std::int64_t kFirstRetryMs = 2000, kLastRetryMs = 300'000;
// A child asks at once, unless somebody else is at that directory: then a later look answers.
constexpr std::int64_t kQuestionMs = 500;
constexpr long kPollMs = 5;
// A fast stop may not come to an end: for want of room, or because it met the server's own restart after a crash (PostgreSQL 15 then waits for a
// checkpointer that nobody has told).
constexpr std::int64_t kFastStopMs = 5000;

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

std::uint32_t CountOfChanges() {
  const LockedSlots locked;
  return GetShared()->operations.computes_changed;
}

}  // namespace

void ComputeKeeper::Take(const BranchSet& branches) {
  wanted_.clear();
  for (const Branch& branch : branches.branches) {
    if (branch.state == "running" && HasComputeHere(branch)) wanted_.push_back(branch);
  }
  std::erase_if(failures_, [&](const auto& failed) {
    return std::none_of(wanted_.begin(), wanted_.end(),
                        [&](const Branch& branch) { return branch.id == failed.first; });
  });
}

bool ComputeKeeper::IsMissing(const Branch& branch) const {
  const auto failed = failures_.find(branch.id);
  return !is_short_of_room_ && !starting_.contains(branch.id) &&
         (failed == failures_.end() || failed->second.next_try_ms <= Now()) &&
         !LivingServer(*branch.directory) && !LivingHolder(*branch.directory);
}

void ComputeKeeper::Failed(const BranchId& id, const Status& status) {
  Failures& failures = failures_[id];
  const std::int64_t pause = kFirstRetryMs << std::min(failures.count, 10);
  failures.next_try_ms = Now() + std::min(pause, kLastRetryMs);
  failures.count++;
  LogStatus(WARNING, "could not start the server of branch \"" + id + "\"", status);
}

Status ComputeKeeper::Start(Repository* repo, const Branch& branch) {
  const Result<Json> job = StartJob(branch, true);
  auto child = std::make_unique<Child>();
  const Status started = job.ok() ? child->Start(*job) : job.status();
  if (!started.ok()) {
    Failed(branch.id, started);
    return Status::Ok();
  }
  LogQuietly(LOG, "pitr_ext: starting the server of branch \"" + branch.name + "\"");
  Child* asker = child.get();
  starting_[branch.id] = std::move(child);
  const std::int64_t give_up = Now() + kQuestionMs;
  while (Now() < give_up) {
    const Result<std::optional<Json>> line = asker->TryNext();
    if (!line.ok()) {
      Failed(branch.id, line.status());
      starting_.erase(branch.id);
      return Status::Ok();
    }
    if (line->has_value()) return Attend(repo, branch.id, asker, **line);
    NapOnLatch(kPollMs);
  }
  return Status::Ok();
}

// What a child has said.
Status ComputeKeeper::Attend(Repository* repo, const BranchId& id, Child* child, const Json& line) {
  if (line.contains("need")) {
    // It may have been stopped, or deleted, since it was missing.
    PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
    const Branch* branch = branches.FindId(id);
    const bool go = branch != nullptr && branch->state == "running" && HasComputeHere(*branch);
    const Status sent = child->Send(GoAnswer(go));
    if (!sent.ok()) Failed(id, sent);
    if (sent.ok() && !go) child->Finish();
    if (!sent.ok() || !go) starting_.erase(id);
    return Status::Ok();
  }
  const Json* error = JsonObject(line, "error");
  if (error == nullptr && !line.contains("done")) return Status::Ok();  // a note
  if (error != nullptr) {
    Failed(id, StatusFromJson(*error));
  } else {
    failures_.erase(id);
  }
  child->Finish();
  starting_.erase(id);
  return Status::Ok();
}

Status ComputeKeeper::Serve(Repository* repo) {
  for (auto next = starting_.begin(); next != starting_.end();) {
    const auto current = next++;
    const BranchId id = current->first;
    const Result<std::optional<Json>> line = current->second->TryNext();
    if (!line.ok()) {
      Failed(id, line.status());
      starting_.erase(current);
    } else if (line->has_value()) {
      PITR_RETURN_IF_ERROR(Attend(repo, id, current->second.get(), **line));
    }
  }
  return Status::Ok();
}

// Before the host's server, which may have its own files there, suffers for want of room. Servers of the past end first (look_keeper.cpp): branches
// stop when that was not enough, or at the last.
void ComputeKeeper::KeepRoom() {
  if (wanted_.empty()) return;
  const std::string place = DirectoryName(*wanted_.front().directory);
  const Status room = CheckBranchRoom(place, is_short_of_room_);
  if (room.code() != Code::kDiskFull) {
    if (is_short_of_room_) LogQuietly(LOG, "pitr_ext: there is room for branches again");
    is_short_of_room_ = false;
    return;
  }
  if (!is_short_of_room_) {
    if (!ListLooks(place).empty() && !IsAtTheLast(place)) return;
    is_short_of_room_ = true;
    LogStatus(WARNING, "stopping the servers of branches", room);
  }
  for (const Branch& branch : wanted_) {
    const std::string& directory = *branch.directory;
    const std::optional<pid_t> living = LivingServer(directory);
    const auto told = told_.find(directory);
    if (!living || (told != told_.end() && told->second.pid == *living)) continue;
    const Result<bool> asked = SignalServer(directory, SIGINT);
    if (!asked.ok()) LogStatus(WARNING, "could not stop a branch", asked.status());
    told_[directory] = {*living, Now()};
  }
}

// Room or not: one that hangs would not be started again either.
void ComputeKeeper::SeeThemStop() {
  std::erase_if(told_, [](const auto& told) {
    return LivingServer(told.first) != std::optional<pid_t>(told.second.pid);
  });
  for (const auto& [directory, told] : told_) {
    if (Now() - told.at_ms < kFastStopMs) continue;
    const Result<bool> stopped = SignalServer(directory, SIGQUIT);
    if (!stopped.ok()) LogStatus(WARNING, "could not stop a branch", stopped.status());
  }
}

Status ComputeKeeper::Tick(Repository* repo) {
  KeepRoom();
  SeeThemStop();
  PITR_RETURN_IF_ERROR(Serve(repo));
  const std::uint32_t changes = CountOfChanges();
  const auto is_missing = [this](const Branch& branch) { return IsMissing(branch); };
  if (changes == seen_change_ && std::none_of(wanted_.begin(), wanted_.end(), is_missing)) {
    return Status::Ok();
  }
  // It may have been stopped, or deleted, since the last look.
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  seen_change_ = changes;
  Take(branches);
  for (const Branch& branch : wanted_) {
    if (starting_.size() < kMostAtOnce && IsMissing(branch))
      PITR_RETURN_IF_ERROR(Start(repo, branch));
  }
  return Status::Ok();
}

}  // namespace pitr::pg
