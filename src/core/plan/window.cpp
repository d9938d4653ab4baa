// What can be reached, and times and LSNs of each other.
#include <algorithm>

#include "core/plan/line_state.h"
#include "core/plan/target_resolution.h"

namespace pitr {

namespace {

// Where the WAL, or what can be reached of it, begins.
Lsn LowestOf(const LineHistory& line, const std::vector<LineSnapshot>& snapshots) {
  for (const LineSnapshot& snapshot : snapshots) {
    if (snapshot.stretch.has_value()) {
      return snapshot.manifest->stop_lsn;
    }
  }
  return line.stretches().back().begin;
}

// Without a commit at or before the time: whether there is one at all.
Result<LsnAt> BeforeAll(const LineHistory& line, Lsn lowest) {
  PITR_ASSIGN_OR_RETURN(const Neighbours around, line.AtLsn(lowest, Lsn()));
  LsnAt answer;
  answer.kind = around.last.has_value() || around.next.has_value() ? "past" : "nodata";
  answer.lsn = lowest;
  answer.timeline = line.TimelineAt(lowest);
  return answer;
}

// A time that a snapshot reaches.
Result<LsnAt> FromAnswer(const LineHistory& line, Neighbours around, Lsn stop) {
  LsnAt answer;
  answer.out_of_order = around.out_of_order;
  if (!around.last.has_value()) {
    // Nothing was committed since the snapshot: the last commit before it.
    PITR_ASSIGN_OR_RETURN(const Neighbours at_stop, line.AtLsn(stop, Lsn()));
    around.last = at_stop.last;
    answer.lsn = stop;
  }
  answer.commit = around.last;
  if (around.last.has_value() && !answer.lsn.valid()) {
    answer.lsn = around.last->event.start;
  }
  answer.timeline = line.TimelineAt(answer.lsn);
  if (around.next.has_value()) {
    answer.kind = "present";
  } else {
    answer.kind = around.last.has_value() ? "future" : "nodata";
  }
  return answer;
}

}  // namespace

Result<std::vector<WindowRow>> RestoreWindow(Repository* repo, const BranchSet& branches,
                                             const BranchId& branch) {
  PlanningView view(repo, branches);
  PITR_RETURN_IF_ERROR(view.ReadSnapshots());
  std::vector<BranchId> ids = {branch};
  for (const BranchId& older : view.OlderLines(branch)) {
    ids.push_back(older);
  }
  std::vector<WindowRow> rows;
  for (const BranchId& id : ids) {
    PITR_ASSIGN_OR_RETURN(const LineHistory* line, view.Line(id));
    PITR_ASSIGN_OR_RETURN(const std::vector<WindowRow> stretches,
                          ReachableOn(*line, view.SnapshotsOf(*line)));
    rows.insert(rows.end(), stretches.begin(), stretches.end());
  }
  const Branch* self = branches.FindId(branch);
  for (WindowRow& row : rows) {
    row.branch = self->name;
  }
  return rows;
}

Result<LsnAt> FindLsnAt(Repository* repo, const BranchSet& branches, const BranchId& branch,
                        Timestamp time) {
  PlanningView view(repo, branches);
  PITR_RETURN_IF_ERROR(view.ReadSnapshots());
  PITR_ASSIGN_OR_RETURN(const LineHistory* line, view.Line(branch));
  if (line->stretches().empty()) {
    LsnAt nothing;
    nothing.kind = "nodata";
    return nothing;
  }
  const std::vector<LineSnapshot> snapshots = view.SnapshotsOf(*line);
  const Lsn lowest = LowestOf(*line, snapshots);
  const bool has_base =
      std::any_of(snapshots.begin(), snapshots.end(),
                  [](const LineSnapshot& snapshot) { return snapshot.stretch.has_value(); });
  if (!has_base) {
    PITR_ASSIGN_OR_RETURN(const Neighbours around, line->AtTime(time, true, lowest));
    return around.last.has_value() ? FromAnswer(*line, around, lowest) : BeforeAll(*line, lowest);
  }
  const Result<TimeAnswer> answer = ResolveTime(*line, snapshots, time, true);
  if (answer.ok()) {
    return FromAnswer(*line, answer->around, answer->base->stop_lsn);
  }
  if (answer.status().code() == Code::kNoSnapshot) {
    return BeforeAll(*line, lowest);
  }
  return answer.status();
}

Result<Neighbours> FindTimeOf(Repository* repo, const BranchSet& branches, const BranchId& branch,
                              Lsn lsn) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<LineHistory> line,
                        LineHistory::Open(repo, branches, branch));
  PITR_ASSIGN_OR_RETURN(Neighbours around, line->AtLsn(lsn, Lsn()));
  // A commit that starts at or before the LSN belongs to it, as for a restore to that LSN.
  if (around.next.has_value() &&
      around.next->event.start <= AsStart(lsn, line->root().segment_size)) {
    const CommitAt taken = *around.next;
    PITR_ASSIGN_OR_RETURN(const Neighbours behind, line->AtLsn(taken.event.end, Lsn()));
    around.last = taken;
    around.next = behind.next;
  }
  return around;
}

}  // namespace pitr
