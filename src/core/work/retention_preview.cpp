// What a pass of retention would remove, were it not for the grace period.
#include "core/repo/manifest_packs.h"
#include "core/work/retained_wal.h"
#include "core/work/retention_pass.h"

namespace pitr {

namespace {

// Of each of the snapshots `going`, what its packs take that none of `staying` names, and none of `going` before it.
Result<std::map<SnapshotId, std::uint64_t>> FreedBytes(Repository* repo,
                                                       const std::vector<SnapshotId>& going,
                                                       const std::set<SnapshotId>& staying) {
  std::map<SnapshotId, std::uint64_t> freed;
  PITR_ASSIGN_OR_RETURN(PackSet named, PackUse().Named(repo, staying));
  std::vector<PackRef> packs;
  std::vector<SnapshotId> whose;
  for (const SnapshotId& id : going) {
    const Result<std::vector<PackRef>> referred = ReadManifestPacks(repo, id);
    if (referred.status().code() == Code::kNotFound) {
      continue;  // gone since
    }
    PITR_RETURN_IF_ERROR(referred.status());
    for (const PackRef& pack : *referred) {
      if (named.emplace(pack.snapshot, pack.number).second) {
        packs.push_back(pack);
        whose.push_back(id);
      }
    }
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> sizes, ReadPackSizes(repo, packs));
  for (std::size_t i = 0; i < packs.size(); i++) {
    freed[whose[i]] += sizes[i];
  }
  return freed;
}

std::optional<Timestamp> StartOf(const RetentionPlan& plan, const BranchId& branch) {
  const auto found = plan.window_start.find(branch);
  return found == plan.window_start.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

Result<std::vector<RetentionPreviewRow>> PreviewRetention(Repository* repo,
                                                          const RetentionView& view,
                                                          const RetentionPlan& plan,
                                                          const BranchId& only) {
  std::vector<RetentionPreviewRow> rows;
  std::vector<SnapshotId> going;
  std::set<SnapshotId> staying;
  for (std::size_t i = 0; i < plan.snapshots.size(); i++) {
    const Manifest& manifest = *view.input.snapshots[i].manifest;
    if (plan.snapshots[i].stays) {
      staying.insert(manifest.id);
      continue;
    }
    going.push_back(manifest.id);
    if (only.empty() || manifest.branch == only) {
      rows.push_back({"snapshot", manifest.id, manifest.name, plan.snapshots[i].reason,
                      manifest.branch, 0, StartOf(plan, manifest.branch)});
    }
  }
  if (!rows.empty()) {
    PITR_ASSIGN_OR_RETURN(auto freed, FreedBytes(repo, going, staying));
    for (RetentionPreviewRow& row : rows) {
      row.freed_bytes = freed[row.id];
    }
  }
  for (const Branch& branch : view.branches.branches) {
    if (branch.root != view.input.root || (!only.empty() && branch.id != only)) {
      continue;
    }
    const auto needed = plan.needed_wal.find(branch.id);
    const LsnRanges going_wal =
        AllBut(needed == plan.needed_wal.end() ? LsnRanges() : needed->second);
    std::uint64_t objects = 0;
    const std::uint64_t bytes = RetainedWal(view, branch.id).CountBytes(going_wal, &objects);
    if (objects > 0) {
      rows.push_back({"wal", branch.id, branch.name,
                      std::to_string(objects) + " objects with WAL that no restore window needs",
                      branch.id, bytes, StartOf(plan, branch.id)});
    }
  }
  return rows;
}

}  // namespace pitr
