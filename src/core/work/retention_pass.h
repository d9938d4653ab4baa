// One pass of retention over a repository, in two phases: what nobody needs is marked; what was marked at least a grace period ago, and is still
// needed by nobody, is removed. Both are decided by a plan that is made anew in each pass (core/plan/retention).
//
// Killed anywhere, the next pass goes on. Order: a snapshot's mark, its manifest, its packs (by whoever collects, core/repo/collect.h); the mark of
// WAL, the ranges that went (core/repo/wal_removals.h), the objects.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/plan/retention_view.h"
#include "core/repo/repository.h"

namespace pitr {

struct RetentionPassOptions {
  RetentionQuestion question;
  std::int64_t grace_seconds = 3600;
  std::int64_t budget_ms = 10'000;  // for removing; the rest is the next pass's
  OperationId operation;            // its own: other ones that run are waited for
  const CancelToken* cancel = nullptr;
};

struct RetentionPassResult {
  std::vector<SnapshotId> marked, taken_back, removed;
  std::uint64_t removed_objects = 0, removed_bytes = 0;  // of WAL
  bool has_more = false;
  std::string postponed;           // why nothing was removed although something could have been
  std::vector<std::string> notes;  // for the log
  bool DidSomething() const { return !removed.empty() || removed_objects > 0; }
};

Result<RetentionPassResult> RunRetentionPass(Repository* repo, const RetentionPassOptions& options);

// What would go now, were it not for the grace period, for people.
struct RetentionPreviewRow {
  std::string kind;  // snapshot, wal
  std::string id, name, reason;
  BranchId branch;
  std::uint64_t freed_bytes = 0;
  std::optional<Timestamp> window_start_after;  // of that branch
};
// `only`: of that branch; empty: of all.
Result<std::vector<RetentionPreviewRow>> PreviewRetention(Repository* repo,
                                                          const RetentionView& view,
                                                          const RetentionPlan& plan,
                                                          const BranchId& only);

}  // namespace pitr
