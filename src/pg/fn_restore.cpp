// pitr_restore_branch in its four shapes, and pitr_undo_restore.
#include "core/base/file.h"
#include "pg/boundary.h"
#include "pg/compute.h"
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

NewOperation OperationOf(const char* kind, const Session& session, const std::string& branch,
                         const RestoreRequest& request) {
  NewOperation operation;
  operation.kind = kind;
  operation.branch = branch;
  operation.branch_id = session.identity.branch_id;
  operation.request = RequestToJson(request);
  operation.wait = request.wait;
  operation.role_name = request.role_name;
  return operation;
}

Result<Datum> RunningRow(FunctionCallInfo fcinfo, const std::string& id,
                         const NewOperation& operation) {
  Json row;
  row["operation_id"] = id;
  row["state"] = "running";
  row["branch"] = operation.branch;
  return RestoreRow(fcinfo, row);
}

Result<Datum> StartAndAnswer(FunctionCallInfo fcinfo, const NewOperation& operation) {
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  if (!operation.wait) return RunningRow(fcinfo, id, operation);
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

// Of another branch with a server here: it is done when the call returns.
Result<Datum> RestoreOther(FunctionCallInfo fcinfo, const Session& session,
                           const RestoreRequest& request) {
  const NewOperation operation =
      OperationOf("restore_other", session, session.branches.FindId(request.target)->name, request);
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  if (!operation.wait) return RunningRow(fcinfo, id, operation);
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  return RestoreRow(fcinfo, ResultOfSlot(slot));
}

Result<Datum> Restore(FunctionCallInfo fcinfo, RestoreShape shape) {
  return Audited("pitr_restore_branch", DescribeArguments(fcinfo, shape), [&]() -> Result<Datum> {
    PITR_RETURN_IF_ERROR(CheckTopLevel("pitr_restore_branch"));
    PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
    PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
    PITR_ASSIGN_OR_RETURN(
        const RestoreRequest request,
        ReadRestoreArguments(fcinfo, shape, session, "pitr_restore_branch", true));
    if (!request.target.empty()) {
      const Branch& target = *session.branches.FindId(request.target);
      // No preserved branch takes them.
      if (!request.preserve) PITR_RETURN_IF_ERROR(session.branches.CheckNoChildren(target));
      return RestoreOther(fcinfo, session, request);
    }
    PITR_RETURN_IF_ERROR(CheckServerCanExchange());
    return StartAndAnswer(fcinfo, OperationOf("restore", session, session.self().name, request));
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
  // Its own directory when that is still there; otherwise it is built again from the repository, from its head.
  const bool is_there = undo->directory && PathExists(*undo->directory);
  NewOperation operation =
      OperationOf(is_there ? "undo" : "restore", session, session.self().name, request);
  operation.request["undo_id"] = undo->id;
  return StartAndAnswer(fcinfo, operation);
}

Result<RestoreRequest> ResetRequest(FunctionCallInfo fcinfo, const Session& session,
                                    const Branch& target) {
  if (!target.parent) {
    return Status(Code::kNotReady, "Branch has no parent")
        .WithDetail("Branch \"" + target.name + "\" is a root.");
  }
  if (target.is_protected)
    return Status(Code::kProtected, "branch \"" + target.name + "\" is protected");
  PITR_RETURN_IF_ERROR(session.branches.CheckNoChildren(target));
  RestoreRequest request;
  request.plan.self = target.id;
  request.plan.source = "^parent";
  request.plan.now = SystemClock().Now();
  request.preserve = !IsNull(fcinfo, 1);
  if (request.preserve) {
    request.undo_name = TextArg(fcinfo, 1);
    PITR_RETURN_IF_ERROR(CheckName(request.undo_name, "branch"));
    if (session.branches.IsNameTaken(request.undo_name)) {
      return Status(Code::kAlreadyExists, "branch \"" + request.undo_name + "\" exists already");
    }
  }
  request.wait = IsNull(fcinfo, 2) || BoolArg(fcinfo, 2);
  request.reset = true;
  request.function = "pitr_reset_branch";
  request.role_name = CurrentRole();
  request.client_addr = ClientAddress();
  request.arguments = Quoted(target.name);
  return request;
}

Result<Datum> Reset(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_RETURN_IF_ERROR(CheckTopLevel("pitr_reset_branch"));
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* target, session.BranchArg(name));
  PITR_ASSIGN_OR_RETURN(RestoreRequest request, ResetRequest(fcinfo, session, *target));
  if (target->id != session.identity.branch_id) {
    if (!HasComputeHere(*target)) {
      return Status(Code::kNotReady,
                    "branch \"" + target->name + "\" has no server of its own here");
    }
    request.target = target->id;
    return RestoreOther(fcinfo, session, request);
  }
  PITR_RETURN_IF_ERROR(CheckServerCanExchange());
  return StartAndAnswer(fcinfo, OperationOf("restore", session, target->name, request));
}

Result<Datum> ResetCall(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "branch must not be null");
  const std::string name = TextArg(fcinfo, 0);
  return Audited("pitr_reset_branch", Quoted(name), [&] { return Reset(fcinfo, name); });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_reset_branch) { return pitr::pg::ResetCall(fcinfo); }
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
