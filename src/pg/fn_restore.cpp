// pitr_restore_branch in its four shapes, and pitr_undo_restore.
#include "core/base/file.h"
#include "pg/boundary.h"
#include "pg/exchange_worker.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/restore_arguments.h"
#include "pg/restore_checks.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// The answer row of a restore from the JSON that its worker left.
Result<Datum> RestoreRow(FunctionCallInfo fcinfo, const Json& row) {
  RowBuilder rows(fcinfo);
  const auto text = [&](const char* member) { return row.value(member, std::string()); };
  const auto optional = [&](const char* member) -> std::optional<std::string> {
    if (!row.contains(member) || !row[member].is_string()) return std::nullopt;
    return row[member].get<std::string>();
  };
  rows.Text(text("operation_id"))
      .Text(text("state"))
      .Text(text("branch"))
      .TextOrNull(optional("branch_id"));
  const Result<Lsn> lsn = Lsn::Parse(optional("restored_lsn").value_or("0/0"));
  rows.LsnOrNull(lsn.ok() ? *lsn : Lsn{});
  const bool has_commit = row.contains("commit_time") && row["commit_time"].is_number();
  if (has_commit) {
    rows.Time({row["commit_time"].get<std::int64_t>()}).XidOrNull(row.value("commit_xid", 0U));
  } else {
    rows.Null().Null();
  }
  if (row.contains("timeline") && row["timeline"].is_number()) {
    rows.Int4(row["timeline"].get<std::int32_t>());
  } else {
    rows.Null();
  }
  rows.TextOrNull(optional("undo_branch")).TextOrNull(optional("undo_branch_id"));
  rows.EndRow();
  return rows.Finish();
}

Result<Datum> StartAndAnswer(FunctionCallInfo fcinfo, const Session& session,
                             NewOperation operation) {
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  if (!operation.wait) {
    Json row;
    row["operation_id"] = id;
    row["state"] = "running";
    row["branch"] = session.self().name;
    return RestoreRow(fcinfo, row);
  }
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, true));
  if (slot.state != OperationState::kExchanging) {
    ReleaseOperation(id);
    return StatusOfSlot(slot);
  }
  const Json row = ResultOfSlot(slot);
  // From the commit of this statement on the worker may cut sessions, ours included, once the row has gone out.
  ReleaseSessionsAtCommit(id);
  if (row.contains("notice")) LogQuietly(NOTICE, row.value("notice", std::string()));
  return RestoreRow(fcinfo, row);
}

Result<Datum> Restore(FunctionCallInfo fcinfo, RestoreShape shape) {
  return Audited("pitr_restore_branch", DescribeArguments(fcinfo, shape), [&]() -> Result<Datum> {
    PITR_RETURN_IF_ERROR(CheckTopLevel("pitr_restore_branch"));
    PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
    PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
    PITR_ASSIGN_OR_RETURN(
        const RestoreRequest request,
        ReadRestoreArguments(fcinfo, shape, session, "pitr_restore_branch", true));
    PITR_RETURN_IF_ERROR(CheckServerCanExchange());
    NewOperation operation;
    operation.kind = "restore";
    operation.branch = session.self().name;
    operation.branch_id = session.identity.branch_id;
    operation.request = RequestToJson(request);
    operation.wait = request.wait;
    operation.role_name = request.role_name;
    return StartAndAnswer(fcinfo, session, operation);
  });
}

// The newest undo branch of the connected branch: the line that this name showed before the line of now.
Result<const Branch*> NewestUndo(const Session& session) {
  const Branch* newest = nullptr;
  for (const NameSpan& span : session.branches.name_spans) {
    if (span.name != session.self().name || span.id == session.identity.branch_id || !span.until)
      continue;
    const Branch* branch = session.branches.FindId(span.id);
    if (branch != nullptr && branch->kind == BranchKind::kUndo && !branch->deleted_at)
      newest = branch;
  }
  if (newest == nullptr) {
    return Status(Code::kNotFound, "branch \"" + session.self().name + "\" has no undo branch")
        .WithHint("pitr_branches lists the branches that there are.");
  }
  return newest;
}

Result<Datum> Undo(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(CheckTopLevel("pitr_undo_restore"));
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* target, session.BranchArg(OptionalTextArg(fcinfo, 0)));
  if (target->id != session.identity.branch_id) {
    return Status(Code::kUnsupported,
                  "branch \"" + target->name + "\" has no server here that could be restored");
  }
  PITR_RETURN_IF_ERROR(CheckServerCanExchange());
  PITR_ASSIGN_OR_RETURN(const Branch* undo, NewestUndo(session));
  RestoreRequest request;
  request.plan.self = session.identity.branch_id;
  request.plan.source = undo->id;
  request.force = !IsNull(fcinfo, 1) && BoolArg(fcinfo, 1);
  request.wait = IsNull(fcinfo, 2) || BoolArg(fcinfo, 2);
  request.function = "pitr_undo_restore";
  request.role_name = CurrentRole();
  request.client_addr = ClientAddress();
  request.arguments = Quoted(undo->name);
  NewOperation operation;
  // Its own directory when that is still there; otherwise it is built again from the repository, from its head.
  operation.kind = undo->directory && PathExists(*undo->directory) ? "undo" : "restore";
  operation.branch = session.self().name;
  operation.branch_id = session.identity.branch_id;
  operation.request = RequestToJson(request);
  operation.request["undo_id"] = undo->id;
  operation.wait = request.wait;
  operation.role_name = request.role_name;
  return StartAndAnswer(fcinfo, session, operation);
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_restore_branch_text) {
  return pitr::pg::Restore(fcinfo, pitr::pg::RestoreShape::kText);
}
PITR_FUNCTION(pitr_restore_branch_time) {
  return pitr::pg::Restore(fcinfo, pitr::pg::RestoreShape::kTime);
}
PITR_FUNCTION(pitr_restore_branch_lsn) {
  return pitr::pg::Restore(fcinfo, pitr::pg::RestoreShape::kLsn);
}
PITR_FUNCTION(pitr_restore_branch_source) {
  return pitr::pg::Restore(fcinfo, pitr::pg::RestoreShape::kSource);
}

PITR_FUNCTION(pitr_undo_restore) {
  return pitr::pg::Audited("pitr_undo_restore", "", [&] { return pitr::pg::Undo(fcinfo); });
}
