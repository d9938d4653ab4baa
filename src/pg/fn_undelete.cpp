// pitr_undelete_branch: within seven days of a deletion that was not forced.
#include <algorithm>

#include "core/base/file.h"
#include "pg/boundary.h"
#include "pg/branch_expiry.h"
#include "pg/branch_request.h"
#include "pg/branch_rows.h"
#include "pg/compute.h"
#include "pg/operation.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// The same call again: the branch that it brought back the first time.
const Branch* BroughtBack(const BranchSet& set, const std::string& name,
                          const std::optional<std::string>& new_name) {
  const Branch* branch = set.FindName(new_name.value_or(name));
  if (branch == nullptr && !new_name) branch = set.FindId(name);
  if (branch == nullptr || branch->deleted_at || branch->state == "creating") return nullptr;
  const bool was_called_so =
      branch->name == name || branch->id == name ||
      std::any_of(set.name_spans.begin(), set.name_spans.end(),
                  [&](const NameSpan& span) { return span.id == branch->id && span.name == name; });
  return was_called_so ? branch : nullptr;
}

// One without a server is its history in the repository, and its directory as far as that is still there.
Status ReturnToCatalogue(Repository* repo, const BranchId& id, const std::string& name) {
  return UpdateBranches(repo, [&](BranchSet* set) -> Status {
    const Timestamp now = SystemClock().Now();
    Branch* branch = set->FindId(id);
    if (branch != nullptr && !branch->deleted_at) return Status::Ok();  // a round that seemed lost
    PITR_RETURN_IF_ERROR(CheckMayReturn(*set, id, name, now));
    branch->deleted_at.reset();
    branch->updated_at = now;
    if (branch->expires_at && *branch->expires_at <= now) {
      branch->expires_at.reset();
      branch->ttl_seconds.reset();
    }
    if (branch->directory && !PathExists(*branch->directory)) {
      branch->directory.reset();
      branch->directory_place.reset();
      branch->directory_expires_at.reset();
    }
    set->Rename(id, name, now);
    return Status::Ok();
  });
}

// Its server and its directory are made again.
Status BuildAgain(const Session& session, const BranchId& id, const std::string& name,
                  const std::string& arguments) {
  BranchRequest request;
  request.name = name;
  request.restore.plan.self = request.restore.plan.source = id;
  request.restore.function = "pitr_undelete_branch";
  request.restore.arguments = arguments;
  request.restore.role_name = CurrentRole();
  request.restore.client_addr = ClientAddress();
  NewOperation operation;
  operation.kind = "undelete";
  operation.branch = name;
  operation.branch_id = session.identity.branch_id;
  operation.request = BranchRequestToJson(request);
  operation.role_name = request.restore.role_name;
  PITR_ASSIGN_OR_RETURN(const std::string started, StartOperation(operation));
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(started, true, false));
  ReleaseOperation(started);
  return slot.state == OperationState::kDone ? Status::Ok() : StatusOfSlot(slot);
}

Result<Datum> Undelete(FunctionCallInfo fcinfo, const std::string& name,
                       const std::optional<std::string>& new_name, const std::string& arguments) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(Session session, OpenWritingSession());
  if (new_name) PITR_RETURN_IF_ERROR(CheckName(*new_name, "branch"));
  const Timestamp now = SystemClock().Now();
  const Result<const Branch*> found = session.branches.FindDeleted(name, now);
  if (!found.ok()) {
    if (const Branch* back = BroughtBack(session.branches, name, new_name))
      return BranchRowOf(fcinfo, &session, back->id);
    return found.status();
  }
  const BranchId id = (*found)->id;
  const std::string wanted = new_name.value_or((*found)->name);
  if ((*found)->compute) {
    PITR_RETURN_IF_ERROR(CheckMayReturn(session.branches, id, wanted, now));
    PITR_RETURN_IF_ERROR(BuildAgain(session, id, wanted, arguments));
  } else {
    PITR_RETURN_IF_ERROR(ReturnToCatalogue(session.repo.get(), id, wanted));
    PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), wanted, "pitr_undelete_branch", arguments));
  }
  return BranchRowOf(fcinfo, &session, id);
}

Result<Datum> UndeleteCall(FunctionCallInfo fcinfo) {
  return AuditedByName(fcinfo, "pitr_undelete_branch", "branch", [&](const std::string& name) {
    const std::optional<std::string> new_name = OptionalTextArg(fcinfo, 1);
    const std::string arguments = Quoted(name) + (new_name ? ", " + Quoted(*new_name) : "");
    return Undelete(fcinfo, name, new_name, arguments);
  });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_undelete_branch) { return pitr::pg::UndeleteCall(fcinfo); }
