// pitr_plan_restore: the restore's own checks and plan, in the restore's order, without touching anything.
#include "core/base/file.h"
#include "core/plan/prepared.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/lease.h"
#include "pg/operation.h"
#include "pg/restore_arguments.h"
#include "pg/restore_checks.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// What a machine of today does at least, for the estimate of a first restore: bytes a second of laying out and of replay.
constexpr std::uint64_t kLayOutRate = 200ULL << 20, kReplayRate = 60ULL << 20;
constexpr std::int64_t kOutageMicros = 200000;

struct PlanRow {
  Status refused;
  std::optional<RestoreRequest> request;
  RestorePlan plan;
  std::vector<std::string> missing, prepared;
  std::vector<DiskNeed> needs;
  Dependants dependants;
};

Status FillPlan(FunctionCallInfo fcinfo, RestoreShape shape, const Session& session, PlanRow* row) {
  PITR_RETURN_IF_ERROR(HoldLease(session.repo.get(), session.identity));
  Result<RestoreRequest> request =
      ReadRestoreArguments(fcinfo, shape, session, "pitr_plan_restore", false);
  if (!request.ok()) return request.status();
  row->request = *request;
  if (request->target.empty()) PITR_RETURN_IF_ERROR(CheckServerCanExchange());
  PITR_RETURN_IF_ERROR(RequestShip(10000));
  PITR_ASSIGN_OR_RETURN(row->plan, PlanRestore(session.repo.get(), session.branches, request->plan,
                                               &row->plan, &row->missing));
  PITR_ASSIGN_OR_RETURN(row->prepared, PreparedAt(session.repo.get(), session.branches, row->plan));
  PITR_ASSIGN_OR_RETURN(row->needs, FindDiskNeeds(session.repo.get(), row->plan));
  // Of another branch's server nobody here knows more.
  if (request->target.empty()) row->dependants = FindDependants(true);
  PITR_RETURN_IF_ERROR(CheckDependants(row->dependants, row->prepared, request->force));
  return CheckDiskNeeds(row->needs);
}

void WriteCommits(RowBuilder* rows, const RestorePlan& plan) {
  if (plan.last_commit) {
    rows->Time(plan.last_commit->event.time).Xid(plan.last_commit->event.xid);
  } else {
    rows->Null().Null();
  }
  if (plan.next_commit) {
    const wal::Event& next = plan.next_commit->event;
    rows->Time(next.time).Xid(next.xid).Lsn(next.start);
  } else {
    rows->Null().Null().Null();
  }
}

std::string UndoNameOf(const Session& session, const RestoreRequest& request) {
  if (!request.undo_name.empty()) return request.undo_name;
  return UndoBranchName(
      session.branches.FindId(request.plan.self)->name, FormatTime(request.plan.now, 0),
      [&](const std::string& name) { return session.branches.IsNameTaken(name); });
}

// Without a session the repository could not be used, and the row says only that.
Result<Datum> WriteRow(FunctionCallInfo fcinfo, const Session* session, const PlanRow& row) {
  RowBuilder rows(fcinfo);
  const RestorePlan& plan = row.plan;
  rows.Bool(row.refused.ok());
  if (row.refused.ok()) {
    rows.Null().Null();
  } else {
    std::string reason = row.refused.message();
    if (!row.refused.detail().empty()) reason += " (" + row.refused.detail() + ")";
    rows.Text(reason).Text(SqlState(row.refused.code()));
  }
  if (session != nullptr) {
    const Branch* other = row.request ? session->branches.FindId(row.request->plan.self) : nullptr;
    rows.Text(other == nullptr ? session->self().name : other->name);
  } else {
    rows.Null();
  }
  rows.TextOrNull(std::string_view(plan.line_name));
  if (plan.timeline == 0) {
    rows.Null();
  } else {
    rows.Int4(static_cast<std::int32_t>(plan.timeline));
  }
  rows.LsnOrNull(plan.record_end);
  WriteCommits(&rows, plan);
  rows.TextOrNull(std::string_view(plan.snapshot)).LsnOrNull(plan.wal_from);
  rows.Int8(static_cast<std::int64_t>(plan.wal_bytes)).TextArray(row.missing);
  std::uint64_t needed = 0, free = 0;  // where tablespaces have disks of their own: of all together
  for (const DiskNeed& need : row.needs) {
    needed += need.needed;
    free += need.free;
  }
  rows.Int8(static_cast<std::int64_t>(needed)).Int8(static_cast<std::int64_t>(free));
  const std::uint64_t micros = plan.database_bytes * 1000000 / kLayOutRate +
                               plan.wal_bytes * 1000000 / kReplayRate + 1000000;
  rows.Interval(static_cast<std::int64_t>(micros)).Interval(kOutageMicros);
  rows.Int4(row.dependants.sessions).Int4(row.dependants.standbys);
  rows.TextArray(row.dependants.replication_slots).TextArray(row.dependants.subscriptions);
  rows.TextArray(row.prepared).Int8(CountUnlogged(DataDirectory()));
  if (session != nullptr && row.request && row.request->preserve) {
    rows.Text(UndoNameOf(*session, *row.request));
  } else {
    rows.Null();
  }
  rows.TextArray(plan.warnings);
  rows.EndRow();
  return rows.Finish();
}

Result<Datum> Plan(FunctionCallInfo fcinfo, RestoreShape shape) {
  PITR_RETURN_IF_ERROR(RequireShared());
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  const Result<Session> session = OpenSession();
  PlanRow row;
  row.refused = session.ok() ? FillPlan(fcinfo, shape, *session, &row) : session.status();
  return WriteRow(fcinfo, session.ok() ? &*session : nullptr, row);
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_plan_restore_text) {
  return pitr::pg::Plan(fcinfo, pitr::pg::RestoreShape::kText);
}
PITR_FUNCTION(pitr_plan_restore_time) {
  return pitr::pg::Plan(fcinfo, pitr::pg::RestoreShape::kTime);
}
PITR_FUNCTION(pitr_plan_restore_lsn) {
  return pitr::pg::Plan(fcinfo, pitr::pg::RestoreShape::kLsn);
}
PITR_FUNCTION(pitr_plan_restore_source) {
  return pitr::pg::Plan(fcinfo, pitr::pg::RestoreShape::kSource);
}
