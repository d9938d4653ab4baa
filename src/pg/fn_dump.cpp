// pitr_create_dump, pitr_delete_dump, pitr_restore_dump and the view pitr_dumps.
#include <algorithm>
#include <set>

#include "core/base/json.h"
#include "core/plan/dump_retention.h"
#include "core/repo/catalogue.h"
#include "core/repo/dump_attempts.h"
#include "pg/boundary.h"
#include "pg/dump_keeper.h"
#include "pg/dump_places.h"
#include "pg/dump_request.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/restore_arguments.h"
#include "pg/session.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kLongestName = 63;

std::string DetailOf(const DumpManifest& dump) {
  if (!dump.detail.empty() || dump.options.database) return dump.detail;
  std::string names;
  for (const DumpDatabase& database : dump.databases) {
    names += (names.empty() ? "databases " : ", ") + database.name;
  }
  return names;
}

void WriteDumpRow(RowBuilder* rows, const DumpManifest& dump, const std::string& repository) {
  rows->Text(dump.id).TextOrNull(dump.options.database).Text(dump.options.format);
  rows->Text(dump.state).Lsn(dump.point_lsn).TimeOrNull(dump.point_time).Time(dump.started_at);
  rows->Interval(dump.finished_at.micros - dump.started_at.micros);
  rows->Int8(static_cast<std::int64_t>(dump.stored_bytes));
  rows->Int8(static_cast<std::int64_t>(dump.Rows()));
  rows->Int8(static_cast<std::int64_t>(dump.Entries())).TimeOrNull(dump.expires_at);
  rows->Text(repository).TextOrNull(std::string_view(DetailOf(dump))).EndRow();
}

// One without a manifest.
void WriteAttemptRow(RowBuilder* rows, const DumpAttempt& attempt, bool runs,
                     const std::string& repository) {
  rows->Text(attempt.id).TextOrNull(attempt.database).Text(attempt.format);
  rows->Text(runs ? "running" : "failed").Null().Null().Time(attempt.started_at);
  if (attempt.failed_at) {
    rows->Interval(attempt.failed_at->micros - attempt.started_at.micros);
  } else {
    rows->Null();
  }
  rows->Null().Null().Null().Null().Text(repository);
  const std::string why =
      attempt.failed_at ? attempt.error : "interrupted by an end of the server or of its worker";
  rows->TextOrNull(std::string_view(runs ? "" : why)).EndRow();
}

bool IsRunning(const DumpId& id) {
  const std::optional<OperationSlot> slot = FindOperation(OperationOfDump(id));
  return slot && slot->finished_at == 0;
}

// Those with a manifest; their ids.
Status WriteDumpsIn(RowBuilder* rows, Repository* repo, std::set<DumpId>* ids) {
  std::vector<DumpId> damaged;
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpManifest> dumps, ListDumps(repo, &damaged));
  const std::string place = repo->Describe();
  for (const DumpManifest& dump : dumps) {
    WriteDumpRow(rows, dump, place);
    ids->insert(dump.id);
  }
  for (const DumpId& id : damaged) {
    DumpAttempt attempt;
    attempt.id = id;
    attempt.failed_at = attempt.started_at;
    attempt.error = "its manifest is damaged";
    WriteAttemptRow(rows, attempt, false, place);
  }
  return Status::Ok();
}

Status DumpRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  Repository* const repo = session.repo.get();
  // Before the manifests: one that ends meanwhile is seen as what it is then.
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDumpsDocument));
  std::set<DumpId> ids;
  PITR_RETURN_IF_ERROR(WriteDumpsIn(rows, repo, &ids));
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpRepository> others, OtherDumpRepositories(repo));
  for (const DumpRepository& other : others) {
    const Status written = WriteDumpsIn(rows, other.repo.get(), &ids);
    if (!written.ok()) LogStatus(WARNING, "dumps in another repository cannot be seen", written);
  }
  for (const DumpAttempt& attempt : DumpAttemptsIn(document)) {
    if (ids.contains(attempt.id)) continue;
    WriteAttemptRow(rows, attempt, IsRunning(attempt.id),
                    attempt.repository.empty() ? repo->Describe() : attempt.repository);
  }
  return Status::Ok();
}

bool Flag(FunctionCallInfo fcinfo, int index, bool if_null) {
  return IsNull(fcinfo, index) ? if_null : BoolArg(fcinfo, index);
}

Result<std::int32_t> JobsArg(FunctionCallInfo fcinfo, int index) {
  const std::int32_t jobs = IsNull(fcinfo, index) ? 1 : Int4Arg(fcinfo, index);
  if (jobs >= 1 && jobs <= kMostDumpJobs) return jobs;
  return Status(Code::kInvalidArgument, "jobs must be from 1 to " + std::to_string(kMostDumpJobs) +
                                            ", not " + std::to_string(jobs));
}

Result<DumpOptions> ReadOptions(FunctionCallInfo fcinfo) {
  DumpOptions options;
  options.database = OptionalTextArg(fcinfo, 0);
  if (!IsNull(fcinfo, 2)) options.format = TextArg(fcinfo, 2);
  options.schema_only = Flag(fcinfo, 3, false);
  options.no_owner = Flag(fcinfo, 4, false);
  options.no_privileges = Flag(fcinfo, 5, false);
  options.globals = Flag(fcinfo, 6, true);
  PITR_ASSIGN_OR_RETURN(options.jobs, JobsArg(fcinfo, 7));
  PITR_RETURN_IF_ERROR(CheckDumpOptions(options));
  // At a point of the past it may have been there.
  if (options.database && IsNull(fcinfo, 1) && !HasDatabase(*options.database)) {
    return Status(Code::kNotFound, "database \"" + *options.database + "\" does not exist");
  }
  return options;
}

// The point in words that mean the same to a worker, which has another time zone.
Result<std::string> PointArg(FunctionCallInfo fcinfo, const Session& session) {
  if (IsNull(fcinfo, 1)) return std::string("^self");
  const std::string text = TextArg(fcinfo, 1);
  PlanRequest plan;
  plan.self = session.identity.branch_id;
  plan.now = SystemClock().Now();
  PITR_RETURN_IF_ERROR(ReadPoint(text, session, &plan));
  return plan.bare && plan.point.kind == Point::Kind::kTime ? FormatTime(plan.point.time) : text;
}

std::string ArgumentsOf(FunctionCallInfo fcinfo) {
  const std::optional<std::string> database = OptionalTextArg(fcinfo, 0);
  const std::optional<std::string> at = OptionalTextArg(fcinfo, 1);
  return (database ? Quoted(*database) : "NULL") + (at ? ", at => " + Quoted(*at) : "");
}

Result<DumpRequest> ReadRequest(FunctionCallInfo fcinfo, const Session& session) {
  DumpRequest request;
  PITR_ASSIGN_OR_RETURN(request.options, ReadOptions(fcinfo));
  PITR_ASSIGN_OR_RETURN(request.point, PointArg(fcinfo, session));
  if (const std::optional<std::string> repository = OptionalTextArg(fcinfo, 8)) {
    PITR_ASSIGN_OR_RETURN(request.repository, CheckDumpAddress(*repository));
  }
  request.arguments = ArgumentsOf(fcinfo);
  request.role_name = CurrentRole();
  request.client_addr = ClientAddress();
  request.wait = Flag(fcinfo, 9, true);
  return request;
}

Result<Datum> CreateRow(FunctionCallInfo fcinfo, const Session& session, const DumpRequest& request,
                        const DumpId& id) {
  RowBuilder rows(fcinfo);
  if (request.wait) {
    PITR_ASSIGN_OR_RETURN(const FoundDump found, FindDump(session, id));
    PITR_RETURN_IF_ERROR(found.head.status());
    WriteDumpRow(&rows, *found.head, found.repo->Describe());
  } else {
    DumpAttempt attempt;
    attempt.id = id;
    attempt.database = request.options.database;
    attempt.format = request.options.format;
    attempt.started_at = SystemClock().Now();
    WriteAttemptRow(&rows, attempt, true,
                    request.repository.empty() ? session.repo->Describe() : request.repository);
  }
  return rows.Finish();
}

Result<Datum> Create(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const DumpRequest request, ReadRequest(fcinfo, session));
  PITR_ASSIGN_OR_RETURN(const NewOperation operation, NewDumpOperation(request, session.self()));
  PITR_RETURN_IF_ERROR(StartOperation(operation).status());
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), session.self().name, request.function,
                                 request.arguments, operation.id));
  if (operation.wait) {
    PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(operation.id, true, false));
    ReleaseOperation(operation.id);
    if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  }
  return CreateRow(fcinfo, session, request, DumpOfOperation(operation.id));
}

// A person may delete what retention never would; it is told then.
void TellOfLastGood(const std::vector<std::string>& databases) {
  std::string names;
  for (const std::string& name : databases) {
    names += (names.empty() ? "\"" : ", \"") + name + "\"";
  }
  if (!names.empty()) LogQuietly(NOTICE, "it was the newest verified dump of database " + names);
}

Result<Datum> Delete(FunctionCallInfo fcinfo, const DumpId& id) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  Repository* const repo = session.repo.get();
  if (IsRunning(id) || IsRestoringDump()) {
    return Status(Code::kInUse, "dump \"" + id + "\" is being made, or one is being restored")
        .WithHint("pitr_operations shows what runs; pitr_cancel_operation ends it.");
  }
  PITR_ASSIGN_OR_RETURN(const FoundDump found, FindDump(session, id));
  const Result<DumpManifest>& head = found.head;
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpManifest> dumps, ListDumps(found.repo, nullptr));
  if (head.status().code() == Code::kNotFound) {
    PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDumpsDocument));
    const std::vector<DumpAttempt> attempts = DumpAttemptsIn(document);
    const bool has_failed = std::any_of(attempts.begin(), attempts.end(),
                                        [&](const DumpAttempt& one) { return one.id == id; });
    if (!has_failed) return head.status();
  } else if (!head.ok() && head.status().code() != Code::kCorrupt) {
    return head.status();
  }
  PITR_ASSIGN_OR_RETURN(const std::uint64_t freed, DeleteDump(found.repo, id, SystemClock().Now()));
  PITR_RETURN_IF_ERROR(AuditDone(repo, session.self().name, "pitr_delete_dump", Quoted(id)));
  TellOfLastGood(LastGoodIn(dumps, id));
  RowBuilder rows(fcinfo, true);
  rows.Int8(static_cast<std::int64_t>(freed)).EndRow();
  return rows.Finish();
}

Status CheckNewDatabase(const std::string& name) {
  if (name.empty()) return Status(Code::kInvalidName, "a database cannot have an empty name");
  if (ServerOfUtf8(name).size() > kLongestName) {
    return Status(Code::kNameTooLong,
                  "the name of a database has at most " + std::to_string(kLongestName) + " bytes");
  }
  if (!HasDatabase(name)) return Status::Ok();
  return Status(Code::kAlreadyExists, "database \"" + name + "\" already exists")
      .WithHint("A dump is restored into a new database.");
}

Result<Datum> RestoreRow(FunctionCallInfo fcinfo, const NewOperation& operation,
                         const std::string& into) {
  RowBuilder rows(fcinfo);
  rows.Text(operation.id).Text(operation.wait ? "done" : "running").Text(into).EndRow();
  return rows.Finish();
}

Result<Datum> RestoreInto(FunctionCallInfo fcinfo, const std::string& text) {
  if (IsNull(fcinfo, 1)) return Status(Code::kInvalidArgument, "into_database must not be null");
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  const std::string into = TextArg(fcinfo, 1);
  PITR_RETURN_IF_ERROR(CheckNewDatabase(into));
  PITR_ASSIGN_OR_RETURN(const std::int32_t jobs, JobsArg(fcinfo, 2));
  const DumpPlace place = ParseDumpPlace(text);
  PITR_ASSIGN_OR_RETURN(const FoundDump found, FindDump(session, place.id));
  PITR_RETURN_IF_ERROR(found.head.status());
  PITR_ASSIGN_OR_RETURN(const DumpDatabase* database, DatabaseOf(*found.head, place));
  NewOperation operation;
  operation.kind = kRestoreDump;
  operation.branch = session.self().name;
  operation.branch_id = session.identity.branch_id;
  operation.wait = Flag(fcinfo, 4, true);
  PITR_ASSIGN_OR_RETURN(operation.id, NewOperationId(SystemClock().Now().micros / 1000000));
  const std::string arguments = Quoted(text) + ", " + Quoted(into);
  operation.role_name = CurrentRole();
  Json& request = operation.request;
  // For the audit row of a call that nobody waits for any more.
  request["function"] = "pitr_restore_dump";
  request["arguments"] = arguments;
  request["role_name"] = operation.role_name;
  request["client_addr"] = ClientAddress();
  request["dump"] = place.id;
  request["database"] = database->name;
  request["into"] = into;
  request["repository"] = found.other.address;
  request["temporary"] = "pitr_restoring_" + operation.id.substr(operation.id.size() - 8);
  request["owner"] = operation.role_name;
  request["jobs"] = jobs;
  request["no_owner"] = Flag(fcinfo, 3, false);
  PITR_RETURN_IF_ERROR(StartOperation(operation).status());
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), session.self().name, "pitr_restore_dump",
                                 arguments, operation.id));
  if (operation.wait) {
    PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(operation.id, true, false));
    ReleaseOperation(operation.id);
    if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  }
  return RestoreRow(fcinfo, operation, into);
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_create_dump) {
  return pitr::pg::Audited("pitr_create_dump", pitr::pg::ArgumentsOf(fcinfo),
                           [&] { return pitr::pg::Create(fcinfo); });
}
PITR_FUNCTION(pitr_delete_dump) {
  return pitr::pg::AuditedByName(fcinfo, "pitr_delete_dump", "dump", [&](const std::string& dump) {
    return pitr::pg::Delete(fcinfo, dump);
  });
}
PITR_FUNCTION(pitr_restore_dump) {
  return pitr::pg::AuditedByName(fcinfo, "pitr_restore_dump", "dump", [&](const std::string& dump) {
    return pitr::pg::RestoreInto(fcinfo, dump);
  });
}
PITR_FUNCTION(pitr_internal_dumps) {
  return pitr::pg::RowsOrKept(fcinfo, "dumps", pitr::pg::DumpRows);
}
