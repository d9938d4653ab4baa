// pitr_take_over_branch: this server becomes the writer of its branch after the old one is gone.
#include "pg/boundary.h"
#include "pg/lease.h"
#include "pg/operation.h"
#include "pg/row_builder.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Result<Datum> TakeOver(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
  if (branch->id != session.identity.branch_id) {
    return Status(Code::kNotReady, "branch \"" + branch->name + "\" is not the one of this server")
        .WithDetail("This server's data directory is branch \"" + session.self().name + "\".")
        .WithHint("Connect to the server that is to write that branch.");
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> before,
                        TakeOverLease(session.repo.get(), session.identity, branch->name));
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), branch->name, "pitr_take_over_branch",
                Quoted(name) + (before ? " -- from " + *before : " -- was the writer already")));
  RowBuilder rows(fcinfo);
  rows.Text(branch->name).TextOrNull(before).EndRow();
  return rows.Finish();
}

Result<Datum> TakeOverCall(FunctionCallInfo fcinfo) {
  return AuditedByName(fcinfo, "pitr_take_over_branch", "branch",
                       [&](const std::string& name) { return TakeOver(fcinfo, name); });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_take_over_branch) { return pitr::pg::TakeOverCall(fcinfo); }
