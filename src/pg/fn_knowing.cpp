// Questions that change nothing: window, time to LSN and back, gaps; waiting for and cancelling operations.
#include <algorithm>
#include <iterator>

#include "core/plan/line_history.h"
#include "core/plan/restore_plan.h"
#include "core/repo/gaps.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/operation.h"
#include "pg/session.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Result<Datum> Window(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(OptionalTextArg(fcinfo, 0)));
  PITR_ASSIGN_OR_RETURN(const std::vector<WindowRow> window,
                        RestoreWindow(session.repo.get(), session.branches, branch->id));
  RowBuilder rows(fcinfo);
  for (const WindowRow& row : window) {
    rows.Text(row.branch).Text(row.line).Int4(static_cast<std::int32_t>(row.timeline));
    rows.TimeOrNull(row.earliest_time)
        .TimeOrNull(row.latest_time)
        .LsnOrNull(row.earliest_lsn)
        .LsnOrNull(row.latest_lsn);
    rows.Text(row.snapshot_only ? "snapshot" : "continuous").EndRow();
  }
  return rows.Finish();
}

Result<Datum> LsnAtTime(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(OptionalTextArg(fcinfo, 1)));
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "target must not be null");
  PITR_ASSIGN_OR_RETURN(const Timestamp time, TimeArg(fcinfo, 0));
  PITR_ASSIGN_OR_RETURN(const LsnAt found,
                        FindLsnAt(session.repo.get(), session.branches, branch->id, time));
  RowBuilder rows(fcinfo);
  rows.Text(found.kind).LsnOrNull(found.lsn);
  if (found.commit) {
    rows.Time(found.commit->event.time).XidOrNull(found.commit->event.xid);
  } else {
    rows.Null().Null();
  }
  rows.Int4(static_cast<std::int32_t>(found.timeline)).Int4(found.out_of_order).EndRow();
  return rows.Finish();
}

Result<Datum> TimeOfLsn(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(OptionalTextArg(fcinfo, 1)));
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "lsn must not be null");
  PITR_ASSIGN_OR_RETURN(const Neighbours around, FindTimeOf(session.repo.get(), session.branches,
                                                            branch->id, LsnArg(fcinfo, 0)));
  RowBuilder rows(fcinfo);
  if (around.last) {
    rows.Time(around.last->event.time)
        .Lsn(around.last->event.start)
        .XidOrNull(around.last->event.xid);
  } else {
    rows.Null().Null().Null();
  }
  rows.TimeOrNull(around.next ? std::optional<Timestamp>(around.next->event.time) : std::nullopt)
      .EndRow();
  return rows.Finish();
}

// `known`: those whose cause was recorded. A hole may be larger: what was being archived when it began is missing as well.
void WriteGap(RowBuilder* rows, const Branch& branch, const Gap& hole,
              const std::vector<Gap>& known) {
  const auto why = std::find_if(known.begin(), known.end(), [&](const Gap& gap) {
    return gap.begin < hole.end && hole.begin < gap.end;
  });
  rows->Text(branch.name).Int4(static_cast<std::int32_t>(hole.timeline));
  rows->Lsn(hole.begin).Lsn(hole.end);
  if (why == known.end()) {
    rows->Null().Text("WAL is missing in the repository").EndRow();
  } else {
    rows->Time(why->since).Text(why->cause).EndRow();
  }
}

// Those in the parts of this history that each of its lines wrote, by LSN.
Result<std::vector<Gap>> KnownGaps(Repository* repo, const LineHistory& line) {
  std::vector<Gap> known;
  for (const LineSpan& span : line.lines()) {
    PITR_ASSIGN_OR_RETURN(const std::vector<Gap> gaps, ReadGaps(repo, span.branch.id));
    std::copy_if(gaps.begin(), gaps.end(), std::back_inserter(known),
                 [&](const Gap& gap) { return span.Contains(gap.begin); });
  }
  std::sort(known.begin(), known.end(),
            [](const Gap& a, const Gap& b) { return a.begin < b.begin; });
  return known;
}

Result<Datum> Gaps(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(OptionalTextArg(fcinfo, 0)));
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<LineHistory> line,
                        LineHistory::Open(session.repo.get(), session.branches, branch->id));
  PITR_ASSIGN_OR_RETURN(const std::vector<Gap> known, KnownGaps(session.repo.get(), *line));
  RowBuilder rows(fcinfo);
  const std::vector<Stretch>& stretches = line->stretches();
  for (std::size_t i = 1; i < stretches.size(); i++) {
    // What retention has removed is outside the window, and nothing that is lacking.
    if (line->IsRemoved(stretches[i - 1].end, stretches[i].begin)) continue;
    Gap hole;
    hole.timeline = stretches[i - 1].timeline;
    hole.begin = stretches[i - 1].end;
    hole.end = stretches[i].begin;
    WriteGap(&rows, *branch, hole, known);
  }
  // One behind which nothing has been archived yet parts nothing, and is one all the same.
  const Gap* last = known.empty() ? nullptr : &known.back();
  if (last != nullptr && (stretches.empty() || last->begin >= stretches.back().end))
    WriteGap(&rows, *branch, *last, known);
  return rows.Finish();
}

Result<Datum> WaitOperation(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "operation_id must not be null");
  const std::string id = TextArg(fcinfo, 0);
  std::optional<std::int64_t> timeout;
  if (!IsNull(fcinfo, 1)) timeout = IntervalArg(fcinfo, 1);
  RowBuilder rows(fcinfo);
  const Result<OperationSlot> slot = WaitForOperation(id, false, false, timeout);
  if (slot.ok()) {
    WriteOperationRow(&rows, RecordOfSlot(*slot), slot->worker_pid);
    return rows.Finish();
  }
  if (slot.status().code() != Code::kNotFound) return slot.status();
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records,
                        ReadOperations(session.repo.get(), 1000));
  for (const OperationRecord& record : records) {
    if (record.id != id) continue;
    WriteOperationRow(&rows, record, 0);
    return rows.Finish();
  }
  return Status(Code::kNotFound, "operation \"" + id + "\" not found");
}

Result<Datum> CancelOperation(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "operation_id must not be null");
  const std::string id = TextArg(fcinfo, 0);
  const Result<bool> cancelled = RequestCancel(id);
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  if (cancelled.ok()) {
    PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), session.self().name, "pitr_cancel_operation",
                                   Quoted(id), id));
    return BoolGetDatum(*cancelled);
  }
  // One that is over is no error, one that never was is.
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records,
                        ReadOperations(session.repo.get(), 1000));
  for (const OperationRecord& record : records) {
    if (record.id == id) return BoolGetDatum(false);
  }
  return Status(Code::kNotFound, "operation \"" + id + "\" not found");
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_restore_window) { return pitr::pg::Window(fcinfo); }
PITR_FUNCTION(pitr_lsn_at) { return pitr::pg::LsnAtTime(fcinfo); }
PITR_FUNCTION(pitr_time_of) { return pitr::pg::TimeOfLsn(fcinfo); }
PITR_FUNCTION(pitr_gaps) { return pitr::pg::Gaps(fcinfo); }
PITR_FUNCTION(pitr_wait_operation) { return pitr::pg::WaitOperation(fcinfo); }
PITR_FUNCTION(pitr_cancel_operation) {
  return pitr::pg::Audited("pitr_cancel_operation", "",
                           [&] { return pitr::pg::CancelOperation(fcinfo); });
}
