// pitr_restore_branch in its four shapes, and what leads to the same: pitr_finalize_restore, pitr_undo_restore, pitr_reset_branch.
#include <functional>

#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/branch_hold.h"
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
  const auto number = [&](const char* member) -> std::optional<std::int64_t> {
    if (!row.contains(member) || !row[member].is_number()) return std::nullopt;
    return row[member].get<std::int64_t>();
  };
  const std::optional<std::int64_t> time = number("commit_time"), timeline = number("timeline");
  rows.TimeOrNull(time ? std::optional(Timestamp{*time}) : std::nullopt)
      .XidOrNull(static_cast<Xid>(number("commit_xid").value_or(0)));
  if (timeline) {
    rows.Int4(static_cast<std::int32_t>(*timeline));
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

// What a call on a branch has in common, whatever it restores it from.
RestoreRequest RequestFor(const Session& session, const Branch& target, const char* function,
                          const std::string& argument) {
  RestoreRequest request;
  request.plan.self = target.id;
  request.plan.now = SystemClock().Now();
  if (target.id != session.identity.branch_id) request.target = target.id;
  request.function = function;
  request.role_name = CurrentRole();
  request.client_addr = ClientAddress();
  request.arguments = Quoted(argument);
  return request;
}

// What cuts no session of ours: it is done when the call returns.
Result<Datum> RunAndAnswer(FunctionCallInfo fcinfo, const NewOperation& operation) {
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  if (!operation.wait) return RunningRow(fcinfo, id, operation);
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  const Json row = ResultOfSlot(slot);
  if (row.contains("notice")) LogQuietly(NOTICE, row.value("notice", std::string()));
  return RestoreRow(fcinfo, row);
}

// What a call comes down to.
struct Work {
  RestoreRequest request;
  std::string kind = "restore";  // or undo, finalize
  BranchId incoming;             // of these: whose directory is there
};

Result<Datum> Start(FunctionCallInfo fcinfo, const Session& session, const Work& work) {
  const RestoreRequest& request = work.request;
  const bool is_own = request.target.empty();
  const std::string kind = !request.finalize ? "build" : work.kind + (is_own ? "" : "_other");
  if (is_own) PITR_RETURN_IF_ERROR(CheckServerCanExchange());
  NewOperation operation =
      OperationOf(kind.c_str(), session, session.branches.FindId(request.plan.self)->name, request);
  if (!work.incoming.empty()) operation.request["incoming_id"] = work.incoming;
  return is_own && request.finalize ? StartAndAnswer(fcinfo, operation)
                                    : RunAndAnswer(fcinfo, operation);
}

// The arguments are read again when others had to be waited for: names may have moved.
Result<Datum> Run(FunctionCallInfo fcinfo, const char* function,
                  const std::function<Result<Work>(const Session&)>& read) {
  PITR_RETURN_IF_ERROR(CheckTopLevel(function));
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  for (;;) {
    PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
    PITR_ASSIGN_OR_RETURN(const Work work, read(session));
    PITR_ASSIGN_OR_RETURN(
        const bool has_waited,
        WaitForOtherServers(session, *session.branches.FindId(work.request.plan.self)));
    if (!has_waited) return Start(fcinfo, session, work);
  }
}

// Another one than the connected branch must have a server that can be given another directory.
Status CheckRestorable(const Session& session, const Branch& target) {
  if (target.id == session.identity.branch_id || HasComputeHere(target)) return Status::Ok();
  return Status(Code::kUnsupported,
                "branch \"" + target.name + "\" has no server here that could be restored");
}

Result<Datum> Restore(FunctionCallInfo fcinfo, RestoreShape shape) {
  constexpr const char* kFunction = "pitr_restore_branch";
  return Audited(kFunction, DescribeArguments(fcinfo, shape), [&] {
    return Run(fcinfo, kFunction, [&](const Session& session) -> Result<Work> {
      PITR_ASSIGN_OR_RETURN(RestoreRequest request,
                            ReadRestoreArguments(fcinfo, shape, session, kFunction, true));
      return Work{std::move(request), "restore", {}};
    });
  });
}

Result<Work> ReadUndo(FunctionCallInfo fcinfo, const Session& session) {
  PITR_ASSIGN_OR_RETURN(const Branch* target, session.BranchArg(OptionalTextArg(fcinfo, 0)));
  PITR_RETURN_IF_ERROR(CheckRestorable(session, *target));
  const Branch* undo = session.branches.NewestUndoOf(*target);
  if (undo == nullptr) {
    return Status(Code::kNotFound, "branch \"" + target->name + "\" has no undo branch")
        .WithHint("pitr_branches lists the branches that there are.");
  }
  Work work;
  RestoreRequest& request = work.request;
  request = RequestFor(session, *target, "pitr_undo_restore", undo->name);
  request.plan.source = undo->id;
  request.force = !IsNull(fcinfo, 1) && BoolArg(fcinfo, 1);
  request.wait = IsNull(fcinfo, 2) || BoolArg(fcinfo, 2);
  if (target->is_protected && !request.force) {
    return Status(Code::kProtected, "branch \"" + target->name + "\" is protected")
        .WithHint("Use force => true to restore it all the same.");
  }
  // Its own directory when that is still there; otherwise it is built again from the repository, from its head.
  if (undo->directory && PathExists(*undo->directory)) {
    work.kind = "undo";
    work.incoming = undo->id;
  }
  return work;
}

Result<Datum> Undo(FunctionCallInfo fcinfo) {
  const std::string name = OptionalTextArg(fcinfo, 0).value_or("");
  return Audited("pitr_undo_restore", name.empty() ? "" : Quoted(name), [&] {
    return Run(fcinfo, "pitr_undo_restore",
               [&](const Session& session) { return ReadUndo(fcinfo, session); });
  });
}

// By its own name or id or, when there is only one, by that of the branch that it was built for.
Result<const Branch*> FindBuilt(const Session& session, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Branch* named, session.BranchArg(name));
  if (named->built) return named;
  const std::vector<const Branch*> built = session.branches.BuiltFor(named->id);
  if (built.size() == 1) return built.front();
  if (built.empty()) {
    return Status(Code::kNotReady,
                  "nothing that was built for branch \"" + named->name + "\" waits to be finalized")
        .WithHint("pitr_restore_branch(..., finalize => false) builds it.");
  }
  std::string names;
  for (const Branch* each : built)
    names += (names.empty() ? "\"" : ", \"") + each->name + "\"";
  return Status(Code::kAmbiguous,
                "more than one branch was built to take the place of \"" + named->name + "\"")
      .WithDetail("They are " + names + ".");
}

// As the call that built it has said.
Result<RestoreRequest> FinalizeRequest(const Session& session, const Branch& built) {
  const Branch* target = session.branches.FindId(built.built->target);
  if (target == nullptr || target->deleted_at) {
    return Status(Code::kNotFound,
                  "the branch whose place \"" + built.name + "\" shall take was deleted");
  }
  if (built.id == session.identity.branch_id) {
    return Status(Code::kInUse, "branch \"" + built.name + "\" is the one you are connected to")
        .WithHint("Connect to \"" + target->name + "\", or to another branch.");
  }
  PITR_RETURN_IF_ERROR(CheckRestorable(session, *target));
  if (built.state == "creating" || built.state == "restoring" || !HasComputeHere(built)) {
    return Status(Code::kInUse, "branch \"" + built.name + "\" is being made or exchanged");
  }
  RestoreRequest request = RequestFor(session, *target, "pitr_finalize_restore", built.name);
  request.undo_name = built.built->undo_name;
  request.preserve = built.built->preserve;
  request.keep_passwords = built.built->keep_passwords;
  request.force = built.built->force;
  request.below_backup = built.built->below_backup;
  if (target->is_protected && !request.force)
    return Status(Code::kProtected, "branch \"" + target->name + "\" is protected");
  if (session.branches.IsNameTaken(request.undo_name)) {
    return Status(Code::kAlreadyExists, "branch \"" + request.undo_name + "\" exists already")
        .WithHint("It was chosen by preserve_under_name; rename the other one.");
  }
  if (!request.preserve) PITR_RETURN_IF_ERROR(session.branches.CheckNoChildren(*target));
  return request;
}

Result<Datum> Finalize(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "branch must not be null");
  const std::string name = TextArg(fcinfo, 0);
  constexpr const char* kFunction = "pitr_finalize_restore";
  return Audited(kFunction, Quoted(name), [&] {
    return Run(fcinfo, kFunction, [&](const Session& session) -> Result<Work> {
      PITR_ASSIGN_OR_RETURN(const Branch* built, FindBuilt(session, name));
      PITR_ASSIGN_OR_RETURN(RestoreRequest request, FinalizeRequest(session, *built));
      request.wait = IsNull(fcinfo, 1) || BoolArg(fcinfo, 1);
      return Work{std::move(request), "finalize", built->id};
    });
  });
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
  RestoreRequest request = RequestFor(session, target, "pitr_reset_branch", target.name);
  request.plan.source = "^parent";
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
  return request;
}

Result<Datum> Reset(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "branch must not be null");
  const std::string name = TextArg(fcinfo, 0);
  constexpr const char* kFunction = "pitr_reset_branch";
  return Audited(kFunction, Quoted(name), [&] {
    return Run(fcinfo, kFunction, [&](const Session& session) -> Result<Work> {
      PITR_ASSIGN_OR_RETURN(const Branch* target, session.BranchArg(name));
      PITR_ASSIGN_OR_RETURN(RestoreRequest request, ResetRequest(fcinfo, session, *target));
      if (!request.target.empty() && !HasComputeHere(*target)) {
        return Status(Code::kNotReady,
                      "branch \"" + target->name + "\" has no server of its own here");
      }
      return Work{std::move(request), "restore", {}};
    });
  });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_finalize_restore) { return pitr::pg::Finalize(fcinfo); }
PITR_FUNCTION(pitr_reset_branch) { return pitr::pg::Reset(fcinfo); }
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

PITR_FUNCTION(pitr_undo_restore) { return pitr::pg::Undo(fcinfo); }
