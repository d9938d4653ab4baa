#include "pg/compute_keeper.h"

#include <algorithm>

#include "core/base/clock.h"
#include "core/work/living_server.h"
#include "pg/compute.h"
#include "pg/log.h"
#include "pg/operation_slots.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kMostAtOnce = 4;
constexpr std::int64_t kFirstRetryMs = 2000, kLastRetryMs = 300'000;

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
  return !starting_.contains(branch.id) &&
         (failed == failures_.end() || failed->second.next_try_ms <= Now()) &&
         !LivingServer(*branch.directory);
}

void ComputeKeeper::Failed(const BranchId& id, const Status& status) {
  Failures& failures = failures_[id];
  const std::int64_t pause = kFirstRetryMs << std::min(failures.count, 10);
  failures.next_try_ms = Now() + std::min(pause, kLastRetryMs);
  failures.count++;
  LogStatus(WARNING, "could not start the server of branch \"" + id + "\"", status);
}

void ComputeKeeper::Start(const Branch& branch) {
  auto child = std::make_unique<Child>();
  const Result<Json> job = StartJob(branch);
  const Status started = job.ok() ? child->Start(*job) : job.status();
  if (!started.ok()) {
    Failed(branch.id, started);
    return;
  }
  LogQuietly(LOG, "pitr_ext: starting the server of branch \"" + branch.name + "\"");
  starting_[branch.id] = std::move(child);
}

// What the children have said since.
void ComputeKeeper::Serve() {
  for (auto next = starting_.begin(); next != starting_.end();) {
    const auto current = next++;
    const Result<std::optional<Json>> line = current->second->TryNext();
    if (line.ok() && !line->has_value()) continue;
    const Json* error = line.ok() ? JsonObject(**line, "error") : nullptr;
    if (!line.ok() || error != nullptr) {
      Failed(current->first, line.ok() ? StatusFromJson(*error) : line.status());
    } else if (!(*line)->contains("done")) {
      continue;  // a note
    } else {
      failures_.erase(current->first);
    }
    current->second->Finish();
    starting_.erase(current);
  }
}

Status ComputeKeeper::Tick(Repository* repo) {
  Serve();
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
    if (starting_.size() < kMostAtOnce && IsMissing(branch)) Start(branch);
  }
  return Status::Ok();
}

}  // namespace pitr::pg
