#include "pg/scheduled_snapshot.h"

#include "core/base/json.h"
#include "core/plan/activity.h"
#include "core/plan/snapshots_on_line.h"
#include "pg/branch_rows.h"
#include "pg/interrupts.h"
#include "pg/schedule_clock.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// The one whose manifest was published before the server ended, so that nobody heard of it.
const Manifest* FindTaken(const std::vector<ManifestHead>& heads, const BranchId& branch,
                          const std::string& name) {
  for (const ManifestHead& head : heads) {
    const Manifest& manifest = head.manifest;
    if (manifest.origin == "schedule" && manifest.branch == branch && manifest.name == name) {
      return &manifest;
    }
  }
  return nullptr;
}

// Those that are taken for replay's sake become fewer by themselves, and one that has expired may go: they stand in for none.
const Manifest* NewestThatStays(const LineHistory& line, const std::vector<ManifestHead>& heads,
                                const Json& flags) {
  const Manifest* newest = nullptr;
  const Timestamp now = ScheduleNow();
  for (const LineSnapshot& snapshot : SnapshotsOn(line, heads)) {
    const Manifest& manifest = *snapshot.manifest;
    const Json* entry = JsonObject(flags, manifest.id);
    const bool is_deleted = entry != nullptr && entry->contains("deleted_at");
    const bool is_expired = manifest.expires_at && *manifest.expires_at <= now;
    if (snapshot.stretch && manifest.origin != "replay" && !is_deleted && !is_expired) {
      newest = snapshot.manifest;
    }
  }
  return newest;
}

}  // namespace

Result<std::optional<Json>> AnswerWithoutSnapshot(const OperationContext& context,
                                                  const Json& request) {
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(context.repo, nullptr));
  const BranchId& branch = context.identity->branch_id;
  Json answer;
  if (const Manifest* taken = FindTaken(heads, branch, request.value("name", std::string()))) {
    answer["snapshot_id"] = taken->id;
    return std::optional(answer);
  }
  if (!request.value("active_only", true)) return std::optional<Json>();
  context.operation->SetPhase("look for commits");
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const auto line = LineHistory::Open(context.repo, branches, branch);
  // What cannot be read is not known to hold nothing new.
  if (!line.ok()) return std::optional<Json>();
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(context.repo));
  const Manifest* newest = NewestThatStays(**line, heads, flags);
  if (newest == nullptr) return std::optional<Json>();
  const Result<bool> has_commits = HasCommitsSince(**line, *newest, ServerCancel());
  if (has_commits.status().code() == Code::kCancelled) return has_commits.status();
  if (!has_commits.ok() || *has_commits) return std::optional<Json>();
  answer["skipped"] = "nothing was committed since snapshot \"" +
                      (newest->name.empty() ? newest->id : newest->name) + "\"";
  return std::optional(answer);
}

}  // namespace pitr::pg
