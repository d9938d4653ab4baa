// pitr_run_drill and the view pitr_drills. What the point is to hold is counted here, in the caller's database, before it is restored.
#include <algorithm>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/plan/restore_plan.h"
#include "core/repo/drills.h"
#include "pg/boundary.h"
#include "pg/interrupts.h"
#include "pg/local_sql.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/restore_arguments.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/tail.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/transam.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
}

namespace pitr::pg {

namespace {

constexpr int kTries = 20;
constexpr long kNapMicros = 100'000;
constexpr std::int64_t kShipMs = 60'000;
constexpr std::size_t kRecords = 500;
// As the drill itself lists them (tool/drill.cpp).
constexpr char kTables[] =
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN "
    "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND "
    "c.relpersistence = 'p' AND c.relispopulated AND n.nspname NOT IN ('pg_catalog', "
    "'information_schema') ORDER BY 1";

// A moment that is a snapshot of the server and a point of its WAL alike.
struct Moment {
  Lsn lsn;             // strictly before it
  std::string marker;  // the last transaction in it; empty: not known
};

// A transaction that a snapshot takes for running may have its commit in the WAL before: it ends by then, or this says so.
bool HasCommittedAmong(const SnapshotData& snapshot) {
  for (std::uint32_t i = 0; i < snapshot.xcnt; i++) {
    const TransactionId xid = snapshot.xip[i];
    if (Call([xid] { return TransactionIdDidCommit(xid); })) return true;
  }
  return false;
}

std::string FullXid(Xid xid) {
  const std::uint64_t next =
      U64FromFullTransactionId(Call([] { return ReadNextFullTransactionId(); }));
  std::uint64_t full = (next & ~std::uint64_t{UINT32_MAX}) | xid;
  if (full > next) full -= std::uint64_t{1} << 32;
  return std::to_string(full);
}

// The snapshot is active then. Nothing when transactions commit all the time: what is counted would belong to no point.
Result<std::optional<Moment>> TakeMoment(const Session& session) {
  for (int i = 0; i < kTries; i++) {
    const Lsn before{Call([] { return GetXLogInsertRecPtr(); })};
    Call([] {
      pg_usleep(kNapMicros);
      PushActiveSnapshot(GetLatestSnapshot());
    });
    CheckInterrupts();
    // A record of ours: a place in WAL that can be flushed.
    const Lsn after{Call([] {
      const XLogRecPtr end = XLogRestorePoint("pitr_drill");
      XLogFlush(end);
      return end;
    })};
    const bool is_mixed = HasCommittedAmong(*GetActiveSnapshot());
    PITR_RETURN_IF_ERROR(RequestShip(kShipMs));
    PITR_ASSIGN_OR_RETURN(const Neighbours around, FindTimeOf(session.repo.get(), session.branches,
                                                              session.identity.branch_id, after));
    if (!is_mixed && (!around.last || around.last->event.start < before)) {
      return std::optional<Moment>(
          {after, around.last ? FullXid(around.last->event.xid) : std::string()});
    }
    Call([] { PopActiveSnapshot(); });
  }
  return std::optional<Moment>();
}

Result<Json> CountTables() {
  PITR_ASSIGN_OR_RETURN(const LocalResult tables, ReadLocally(kTables));
  Json counted = Json::array();
  for (const LocalRow& row : tables.rows) {
    CheckInterrupts();
    const std::string name = row.at(0).value_or("");
    PITR_ASSIGN_OR_RETURN(const LocalResult rows,
                          ReadLocally("SELECT pg_catalog.count(*) FROM ONLY " + name));
    Json table;
    table["name"] = Utf8OfServer(name);
    table["rows"] = std::stoll(rows.rows.at(0).at(0).value_or("0"));
    counted.push_back(std::move(table));
  }
  return counted;
}

// What was counted, for the child; gone when the caller is done with it.
class ExpectedFile {
 public:
  ~ExpectedFile() {
    if (!path_.empty()) (void)RemoveFile(path_);
  }
  Status Write(const Json& content) {
    PITR_RETURN_IF_ERROR(MakeDirectories(CacheDirectory()));
    path_ = JoinPath(CacheDirectory(), "drill-" + std::to_string(MyProcPid) + ".json");
    return WriteFileLoosely(path_, AsBytes(DumpJson(content)));
  }
  const std::string& path() const { return path_; }
  // The operation goes on without the caller, and reads it some time.
  void Leave() { path_.clear(); }

 private:
  std::string path_;
};

// Rights and settings of the caller would hide rows.
Status RequireAllRows() {
  if (Call([] { return superuser(); })) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(
      const std::optional<std::string> may,
      AskLocally("SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_data', 'USAGE')"));
  if (may == "t") return Status::Ok();
  return Status(Code::kPermission, "a drill counts the rows of every table of this database")
      .WithHint("Grant pg_read_all_data to the role, or call it as a superuser.");
}

// Of the head of this branch alone it is known what it has to hold.
Status Expect(const Session& session, RestoreRequest* request, Json* job, ExpectedFile* file) {
  PITR_RETURN_IF_ERROR(RequireAllRows());
  PITR_ASSIGN_OR_RETURN(const std::optional<Moment> moment, TakeMoment(session));
  if (!moment) {
    LogQuietly(NOTICE, "transactions commit all the time: rows are counted, and not compared");
    return Status::Ok();
  }
  Json content;
  content["marker"] = moment->marker;
  PITR_ASSIGN_OR_RETURN(content["tables"], CountTables());
  Call([] { PopActiveSnapshot(); });
  PITR_RETURN_IF_ERROR(file->Write(content));
  (*job)["expected_file"] = file->path();
  request->plan.inclusive = false;
  return ReadPoint("^self@" + moment->lsn.ToString(), session, &request->plan);
}

void WriteDrill(RowBuilder* rows, const DrillRecord& record) {
  rows->Text(record.id).Time(record.started_at).LsnOrNull(record.point_lsn);
  rows->TimeOrNull(record.point_time).IntervalOrNull(record.restore_micros);
  rows->IntervalOrNull(record.first_query_micros).IntervalOrNull(record.data_loss_micros);
  rows->BoolOrNull(record.amcheck_ok).BoolOrNull(record.checksums_ok);
  rows->Int8OrNull(record.relations).Int8OrNull(record.row_count);
  rows->Int8OrNull(record.row_count_expected).BoolOrNull(record.queries_ok);
  rows->TextOrNull(std::string_view(record.detail)).Bool(record.passed).EndRow();
}

Result<Datum> Answer(FunctionCallInfo fcinfo, const Session& session, const std::string& id) {
  PITR_ASSIGN_OR_RETURN(const std::vector<DrillRecord> records,
                        ReadDrills(session.repo.get(), kRecords));
  const auto record = std::find_if(records.begin(), records.end(),
                                   [&](const DrillRecord& one) { return one.id == id; });
  RowBuilder rows(fcinfo);
  if (record != records.end()) WriteDrill(&rows, *record);
  return rows.Finish();
}

Result<Datum> Drill(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(CheckTopLevel("pitr_run_drill"));
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  const std::string point = OptionalTextArg(fcinfo, 0).value_or("^self");
  NewOperation operation;
  RestoreRequest request;
  request.plan.self = session.identity.branch_id;
  request.plan.now = SystemClock().Now();
  request.plan.for_new_branch = true;
  Json extra = Json::object();
  const std::optional<std::int64_t> behind = ReadTailReport(request.plan.now).behind_micros;
  ExpectedFile file;
  if (point == "^self") {
    if (behind) extra["data_loss_micros"] = *behind;
    PITR_RETURN_IF_ERROR(ReadPoint(point, session, &request.plan));
    PITR_RETURN_IF_ERROR(Expect(session, &request, &extra, &file));
  } else {
    PITR_RETURN_IF_ERROR(ReadPoint(point, session, &request.plan));
  }
  operation.kind = "drill";
  operation.branch = session.self().name;
  operation.branch_id = session.identity.branch_id;
  operation.wait = IsNull(fcinfo, 2) || BoolArg(fcinfo, 2);
  operation.role_name = CurrentRole();
  operation.request = RequestToJson(request);
  operation.request.update(extra);
  operation.request["database"] =
      Utf8OfServer(Call([] { return get_database_name(MyDatabaseId); }));
  operation.request["queries"] =
      IsNull(fcinfo, 1) ? std::vector<std::string>() : TextArrayArg(fcinfo, 1);
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), session.self().name, "pitr_run_drill", Quoted(point), id));
  if (!operation.wait) {
    file.Leave();
    DrillRecord running;
    running.id = id;
    running.started_at = request.plan.now;
    running.detail = "running";
    RowBuilder rows(fcinfo);
    WriteDrill(&rows, running);
    return rows.Finish();
  }
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  return Answer(fcinfo, session, id);
}

Status DrillRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const std::vector<DrillRecord> records,
                        ReadDrills(session.repo.get(), kRecords));
  for (const DrillRecord& record : records)
    WriteDrill(rows, record);
  return Status::Ok();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_run_drill) {
  const std::string point = pitr::pg::OptionalTextArg(fcinfo, 0).value_or("^self");
  return pitr::pg::Audited("pitr_run_drill", pitr::pg::Quoted(point),
                           [&] { return pitr::pg::Drill(fcinfo); });
}
PITR_FUNCTION(pitr_internal_drills) {
  return pitr::pg::RowsOrKept(fcinfo, "drills", pitr::pg::DrillRows);
}
