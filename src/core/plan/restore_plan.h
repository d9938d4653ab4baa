// From a point to everything that a restore needs to know, before anything is touched (DESIGN.md 5.1). A restore runs
// exactly this plan, so what plan and restore say always agrees.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/plan/line_history.h"
#include "core/plan/point.h"

namespace pitr {

struct RestorePlan {
  // Line and target. `record_start` is handed to recovery (recovery_target_lsn, inclusive on): the start of the last record
  // to replay (internals 7). `record_end` is where the new line forks off.
  BranchId line;
  std::string line_name;
  // The line that wrote the target record: `line` or one of its ancestors. A new line's `ancestor` is this one, with
  // `timeline` as its fork_timeline and `record_end` as its fork_lsn.
  BranchId owner;
  RootIdentity root;  // of both
  // recovery_target_timeline: the one that holds the target, or the one that began later in the same segment when only
  // that one's copy of the segment is held (its first bytes are the same).
  TimelineId timeline = 0;
  Lsn record_start, record_end;
  std::optional<CommitAt> last_commit, next_commit;
  // Base and WAL.
  SnapshotId snapshot;
  Lsn wal_from;  // the snapshot's start LSN
  TimelineId wal_from_timeline = 0;
  std::uint64_t wal_bytes = 0;  // plain bytes to replay
  std::vector<SegmentId> segments;
  std::uint64_t database_bytes = 0;
  std::uint64_t data_bytes =
      0;                     // of these, what can be other than zero, at most: the rest are holes
  ControlSettings settings;  // maximum over snapshot and parameter changes up to the target
  std::vector<std::uint8_t> custom_resource_managers;
  std::vector<std::string> warnings;  // drop database just before the target, clock disorder, …
};

struct PlanRequest {
  BranchId self;                 // the connected branch
  std::string source = "^self";  // of SourcePoint; "^self" for bare targets
  Point point;
  bool bare = false;  // a bare target follows the *name* through its lines (rules.md 2)
  bool inclusive = true;
  // Another branch will begin there, `self` stays what it is. Else it becomes that: only the same root line and, for a masked branch, its own masked
  // past can be that.
  bool for_new_branch = false;
  Timestamp now;
};

// The branch that `source` names, seen from `self`: ^self, ^parent, a name or an id. kNoParent, kNotFound.
Result<BranchId> FindSource(const BranchSet& branches, const BranchId& self,
                            const std::string& source);

// Errors: kOutsideWindow (an LSN behind the end of what is held; limits in the detail), kGap (the hole and the nearest points
// on both sides), kNoSnapshot (a point before the oldest snapshot, or no snapshot at all; oldest reachable point in the
// detail), kAmbiguous, kNotFound (branch, snapshot, restore point, xid), kNoParent, kInvalidArgument (future), kForeign (another root line),
// kPermission (not masked).
// When it fails, `partial` (may be null) holds what was found out until then; `missing` (may be null) the names of the
// absent segments.
Result<RestorePlan> PlanRestore(Repository* repo, const BranchSet& branches,
                                const PlanRequest& request, RestorePlan* partial,
                                std::vector<std::string>* missing);

// One reachable stretch of a branch's history.
struct WindowRow {
  std::string branch, line;
  BranchId line_id;
  TimelineId timeline = 0;
  // A target at either of the two can be restored: the snapshot's finish time, or that of the first commit behind it when
  // that is earlier; the time of the last commit, or the snapshot's finish time when there is none.
  std::optional<Timestamp> earliest_time, latest_time;
  Lsn earliest_lsn, latest_lsn;
  bool snapshot_only = false;  // "snapshot" = one point only
};
// Rows for one branch: its current line first, then older lines that held its name; empty when no snapshot reaches anything.
Result<std::vector<WindowRow>> RestoreWindow(Repository* repo, const BranchSet& branches,
                                             const BranchId& branch);

// Neon's four kinds (features.md 30) for pitr_lsn_at. `lsn` is the start of the commit's record, so that a restore to it
// takes that commit and no later one; without a commit the stop point of the oldest snapshot, or where the WAL begins.
// kGap when the time falls into a gap.
struct LsnAt {
  std::string kind;  // present, future, past, nodata
  Lsn lsn;
  std::optional<CommitAt> commit;
  TimelineId timeline = 0;
  int out_of_order = 0;
};
Result<LsnAt> FindLsnAt(Repository* repo, const BranchSet& branches, const BranchId& branch,
                        Timestamp time);
// For pitr_time_of.
Result<Neighbours> FindTimeOf(Repository* repo, const BranchSet& branches, const BranchId& branch,
                              Lsn lsn);

}  // namespace pitr
