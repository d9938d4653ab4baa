#include "pg/replay_bound.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/demand/folder.h"
#include "core/plan/line_history.h"
#include "core/plan/snapshots_on_line.h"
#include "core/plan/thinning.h"
#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/repo/pins.h"
#include "core/repo/records.h"
#include "pg/branch_rows.h"
#include "pg/demand.h"
#include "pg/guc.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kNextLook = 2 * kSecond;
constexpr std::int64_t kAfterFailure = 60 * kSecond;
constexpr std::uint64_t kMiB = 1ULL << 20;
// What replay does on a slow disk, until a restore has measured it.
constexpr std::uint64_t kAssumedRate = 32 * kMiB;
// A restore that replayed less measures how long a server takes to start.
constexpr std::uint64_t kLeastMeasured = 32 * kMiB;
constexpr std::size_t kRecords = 200;

// Of the launcher alone.
constinit std::uint64_t last_start = 0;   // start LSN of the newest snapshot, as far as is known
constinit std::uint64_t replay_rate = 0;  // bytes of WAL a second; 0: not asked yet
constinit std::int64_t next_look = 0;
// The newest snapshot when one was last begun: when it still is, that one failed.
constinit std::uint64_t attempted_from = 0;
constinit std::int64_t attempted_at = 0;

bool IsOperationRunning() {
  const std::vector<OperationSlot> slots = AllOperations();
  return std::any_of(slots.begin(), slots.end(),
                     [](const OperationSlot& slot) { return slot.finished_at == 0; });
}

// Of the newest restore that replayed enough to tell.
Result<std::uint64_t> MeasuredRate(Repository* repo) {
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records, ReadOperations(repo, kRecords));
  for (std::size_t i = records.size(); i-- > 0;) {
    const Result<Json> result = ParseJson(records[i].result, "result of an operation");
    if (records[i].kind != "restore" || !result.ok()) continue;
    const std::uint64_t bytes = result->value("replay_bytes", std::uint64_t{0});
    const std::uint64_t millis = result->value("replay_ms", std::uint64_t{0});
    if (bytes >= kLeastMeasured && millis > 0) {
      return std::max<std::uint64_t>(kMiB, bytes * 1000 / millis);
    }
  }
  return kAssumedRate;
}

// Bytes of WAL; nothing when both settings are off.
Result<std::optional<std::uint64_t>> Limit(Repository* repo) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(MaxReplayBytesSetting()) * kMiB;
  const auto seconds = static_cast<std::uint64_t>(MaxReplayTimeSetting());
  std::optional<std::uint64_t> limit;
  if (bytes > 0) limit = bytes;
  if (seconds > 0) {
    if (replay_rate == 0) {
      PITR_ASSIGN_OR_RETURN(replay_rate, MeasuredRate(repo));
    }
    limit =
        std::min(limit.value_or(std::numeric_limits<std::uint64_t>::max()), replay_rate * seconds);
  }
  return limit;
}

// Start LSN of the newest snapshot on this server's history; 0 without one. A promotion may have left newer ones behind, of the same branch.
Result<std::uint64_t> NewestStart(Repository* repo, const BranchSet& branches,
                                  const std::vector<const Branch*>& line) {
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads, ListSnapshots(repo, nullptr));
  std::uint64_t newest = 0;
  const auto history = LineHistory::Open(repo, branches, line.front()->id);
  if (history.ok()) {
    for (const LineSnapshot& snapshot : SnapshotsOn(**history, heads)) {
      newest = std::max(newest, snapshot.manifest->start_lsn.value);
    }
    return newest;
  }
  // A history that cannot be read makes the next snapshot a full one, which is still taken.
  for (const ManifestHead& head : heads) {
    for (std::size_t i = 0; i < line.size(); i++) {
      const bool is_before_fork = i == 0 || head.manifest.stop_lsn <= line[i - 1]->fork_lsn;
      if (head.manifest.branch == line[i]->id && is_before_fork) {
        newest = std::max(newest, head.manifest.start_lsn.value);
      }
    }
  }
  return newest;
}

Status StartIncrement(const Branch& branch, std::int64_t now) {
  NewOperation operation;
  operation.kind = "snapshot";
  operation.branch = branch.name;
  operation.branch_id = branch.id;
  operation.request["origin"] = "replay";
  operation.request["name"] = "replay_" + FormatTime({now}, 0);
  operation.wait = false;
  const Status started = StartOperationNow(operation).status();
  // Somebody was quicker: it is looked at again.
  return started.code() == Code::kLockTimeout ? Status::Ok() : started;
}

// Directories of undo branches that are not complete read the packs of the snapshot that they were laid out from.
Result<std::set<SnapshotId>> SnapshotsBeingLoaded(const BranchSet& branches) {
  std::set<SnapshotId> loading;
  for (const Branch& branch : branches.branches) {
    if (!branch.directory) continue;
    PITR_ASSIGN_OR_RETURN(const demand::FolderSummary missing,
                          demand::ReadFolder(*branch.directory));
    if (missing.is_incomplete) loading.insert(missing.snapshot);
  }
  return loading;
}

}  // namespace

void ForgetReplayBound() {
  last_start = replay_rate = attempted_from = 0;
  next_look = attempted_at = 0;
}

Status KeepReplayShort(Repository* repo, const Identity& identity) {
  const std::int64_t now = SystemClock().Now().micros;
  // A directory that is still being loaded has no pages to copy yet.
  if (now < next_look || InRecovery() || IncompleteDirectory() != nullptr || IsOperationRunning() ||
      (MaxReplayBytesSetting() == 0 && MaxReplayTimeSetting() == 0)) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<std::uint64_t> limit, Limit(repo));
  const std::uint64_t flushed = FlushLsn().value;
  if (last_start != 0 && flushed - std::min(flushed, last_start) < *limit) {
    return Status::Ok();
  }
  next_look = now + kNextLook;
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> line,
                        branches.AncestryOf(identity.branch_id));
  PITR_ASSIGN_OR_RETURN(last_start, NewestStart(repo, branches, line));
  // The first one is not taken here, and without archiving no snapshot is of use: it is complete with its WAL only.
  if (last_start == 0 || flushed - std::min(flushed, last_start) < *limit) {
    return Status::Ok();
  }
  if (attempted_from == last_start && now < attempted_at + kAfterFailure) return Status::Ok();
  attempted_from = last_start;
  attempted_at = now;
  return StartIncrement(*line.front(), now);
}

Status ThinReplaySnapshots(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  PITR_ASSIGN_OR_RETURN(const auto line,
                        LineHistory::Open(context.repo, branches, context.identity->branch_id));
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(context.repo, nullptr));
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(context.repo));
  PITR_ASSIGN_OR_RETURN(const std::set<SnapshotId> loading, SnapshotsBeingLoaded(branches));
  std::vector<ThinningItem> items;
  for (const LineSnapshot& snapshot : SnapshotsOn(*line, heads)) {
    const Manifest& manifest = *snapshot.manifest;
    // Those of an ancestor are its server's business.
    const bool may_go = manifest.origin == "replay" && !FlagsOf(flags, manifest.id).kept &&
                        manifest.branch == context.identity->branch_id &&
                        !loading.contains(manifest.id);
    items.push_back({manifest.id, manifest.start_lsn, snapshot.stretch, may_go});
  }
  std::vector<SnapshotId> gone = ThinSnapshots(items);
  if (gone.empty()) return Status::Ok();
  // One that a directory elsewhere is loaded from stays until that is complete.
  PITR_RETURN_IF_ERROR(MarkDeleted(context.repo, &gone, SystemClock().Now(), nullptr));
  for (const SnapshotId& id : gone) {
    PITR_FAULT("snapshot.thin.before_remove");
    const Status marked = CheckStillMarked(context.repo, id);
    if (marked.code() == Code::kInUse) continue;
    PITR_RETURN_IF_ERROR(marked);
    // Its packs are collected by the launcher, as far as nobody else refers to them.
    PITR_RETURN_IF_ERROR(context.repo->store()->Remove(layout::ManifestObject(id)));
  }
  return Status::Ok();
}

}  // namespace pitr::pg
