// pitr_complete_branch.
#include <cstring>

#include "core/demand/folder.h"
#include "pg/boundary.h"
#include "pg/completion.h"
#include "pg/demand.h"
#include "pg/operation.h"
#include "pg/operation_slots.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

std::string CompletionId() {
  std::string newest;
  for (const OperationSlot& slot : AllOperations()) {
    if (std::strcmp(slot.kind, kCompletion) == 0 && (slot.finished_at == 0 || newest.empty()))
      newest = slot.id;
  }
  return newest;
}

Status CheckBranch(const std::optional<std::string>& name, const Session& session) {
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
  if (branch->id == session.identity.branch_id || !branch->directory) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const demand::FolderSummary missing,
                        demand::ReadFolder(*branch->directory));
  if (!missing.is_incomplete) return Status::Ok();
  return Status(Code::kNotReady, "no server runs on branch \"" + branch->name + "\"")
      .WithDetail("A directory is completed by the server that runs on it.");
}

Result<Datum> Complete(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const bool wait = IsNull(fcinfo, 1) || BoolArg(fcinfo, 1);
  const std::optional<std::string> name = OptionalTextArg(fcinfo, 0);
  bool is_self = !name;
  if (name) {
    PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
    PITR_RETURN_IF_ERROR(CheckBranch(name, session));
    PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
    is_self = branch->id == session.identity.branch_id;
  }
  const auto is_complete = [is_self] { return !is_self || IncompleteDirectory() == nullptr; };
  const std::uint64_t total =
      is_complete() ? 0 : IncompleteDirectory()->index().header().pages * demand::kPageBytes;
  std::string id = is_complete() ? std::string() : CompletionId();
  while (wait && !is_complete()) {
    CheckInterrupts();
    NapOnLatch(50);
    if (id.empty()) id = CompletionId();
  }
  RowBuilder rows(fcinfo);
  rows.TextOrNull(std::string_view(id)).Text(is_complete() ? "done" : "running");
  rows.Int8(static_cast<std::int64_t>(total)).EndRow();
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_complete_branch) {
  return pitr::pg::Audited("pitr_complete_branch", "", [&] { return pitr::pg::Complete(fcinfo); });
}
