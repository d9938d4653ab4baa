// pitr_recover_database: a whole database of the past beside those of today. It is an operation, and no part of the caller's transaction.
#include "core/base/json.h"
#include "core/work/recovered_database.h"
#include "pg/boundary.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/recover_keeper.h"
#include "pg/restore_arguments.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "tcop/utility.h"
}

namespace pitr::pg {

namespace {

constexpr const char* kFunction = "pitr_recover_database";

struct Request {
  std::string name, at, into;  // UTF-8
  bool wait = true;
};

// The name that recover_table would choose.
std::string DefaultName(const std::string& name) {
  const std::string here = ServerOfUtf8(name);
  const char* made = Call([&] { return makeObjectName(here.c_str(), nullptr, "recovered"); });
  return Utf8OfServer(made);
}

Result<Request> ReadRequest(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1))
    return Status(Code::kInvalidArgument, "name and at must not be null");
  Request request;
  request.name = TextArg(fcinfo, 0);
  request.at = TextArg(fcinfo, 1);
  request.into = IsNull(fcinfo, 2) ? DefaultName(request.name) : TextArg(fcinfo, 2);
  request.wait = IsNull(fcinfo, 3) || BoolArg(fcinfo, 3);
  return request;
}

Status CheckTarget(const std::string& into) {
  const std::string here = ServerOfUtf8(into);
  if (here.empty() || IsUnfinishedDatabase(into)) {
    return Status(Code::kInvalidName, "\"" + into + "\" cannot be the name of a database")
        .WithHint("into_database takes another name.");
  }
  if (here.size() >= NAMEDATALEN) {
    return Status(Code::kNameTooLong, "the name \"" + into + "\" is longer than " +
                                          std::to_string(NAMEDATALEN - 1) + " bytes");
  }
  if (!Call([&] { return OidIsValid(get_database_oid(here.c_str(), true)); })) return Status::Ok();
  return Status(Code::kAlreadyExists, "database \"" + into + "\" exists already")
      .WithHint("into_database takes another name; a database is never replaced.");
}

Result<NewOperation> OperationOf(const Session& session, const Request& request,
                                 const std::string& arguments) {
  RestoreRequest restore;
  restore.plan.self = session.identity.branch_id;
  restore.plan.now = SystemClock().Now();
  // Who is let into a masked branch only must not see more than that by way of it.
  restore.plan.for_new_branch =
      !session.branches.MaskedOrigin(session.identity.branch_id).has_value();
  PITR_RETURN_IF_ERROR(ReadPoint(request.at, session, &restore.plan));
  restore.function = kFunction;
  restore.arguments = arguments;
  restore.role_name = CurrentRole();
  restore.client_addr = ClientAddress();
  NewOperation operation;
  operation.kind = kRecover;
  operation.branch = session.self().name;
  operation.branch_id = session.identity.branch_id;
  operation.wait = request.wait;
  operation.role_name = restore.role_name;
  operation.request = RequestToJson(restore);
  operation.request["point"] = request.at;
  operation.request["database"] = request.name;
  operation.request["into"] = request.into;
  return operation;
}

Result<Datum> Row(FunctionCallInfo fcinfo, const std::string& id, const char* state,
                  const std::string& into, const Json& answer) {
  RowBuilder rows(fcinfo);
  rows.Text(id).Text(state).Text(into);
  std::optional<Timestamp> commit_time;
  if (answer.contains("commit_time"))
    commit_time = Timestamp{answer.value("commit_time", std::int64_t{0})};
  rows.TimeOrNull(commit_time).EndRow();
  return rows.Finish();
}

Result<Datum> Recover(FunctionCallInfo fcinfo, const std::string& arguments) {
  PITR_ASSIGN_OR_RETURN(const Request request, ReadRequest(fcinfo));
  Call([] {
    PreventCommandIfReadOnly("pitr_recover_database()");
    PreventCommandDuringRecovery("pitr_recover_database()");
  });
  PITR_RETURN_IF_ERROR(CheckTarget(request.into));
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const NewOperation operation, OperationOf(session, request, arguments));
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  if (!operation.wait) return Row(fcinfo, id, "running", request.into, Json::object());
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  const Json answer = ResultOfSlot(slot);
  if (const Json* notes = JsonArray(answer, "notes")) {
    for (const Json& note : *notes)
      if (note.is_string()) LogQuietly(NOTICE, note.get<std::string>());
  }
  return Row(fcinfo, id, "done", request.into, answer);
}

// What the server itself would say of a database that is not there.
[[noreturn]] void RaiseNoDatabase(const Status& status) {
  const std::string message = ServerOfUtf8(status.message()),
                    detail = ServerOfUtf8(status.detail());
  ForeignError error{};
  error.sqlstate = "3D000";
  error.message = message.c_str();
  error.detail = detail.c_str();
  Call([&] { RaiseForeign(error); });
  pg_unreachable();
}

Result<Datum> RecoverDatabase(FunctionCallInfo fcinfo) {
  std::string arguments;
  for (int i = 0; i < 3; i++) {
    const std::optional<std::string> value = OptionalTextArg(fcinfo, i);
    arguments += (i == 0 ? "" : ", ") + (value ? Quoted(*value) : "NULL");
  }
  Result<Datum> result = Audited(kFunction, arguments, [&] { return Recover(fcinfo, arguments); });
  const std::string name = OptionalTextArg(fcinfo, 0).value_or("");
  if (!result.ok() && result.status().message() == NoDatabaseThen(name))
    RaiseNoDatabase(result.status());
  return result;
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_recover_database) { return pitr::pg::RecoverDatabase(fcinfo); }
