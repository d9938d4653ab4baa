// pitr_rename_branch and pitr_delete_branch.
#include "pg/boundary.h"
#include "pg/branch_removal.h"
#include "pg/branch_rows.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSoftDeleteMicros = 7LL * 86400 * 1000000;

Result<Datum> Rename(FunctionCallInfo fcinfo, const std::string& branch,
                     const std::string& new_name) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* found, session.BranchArg(branch));
  PITR_RETURN_IF_ERROR(CheckName(new_name, "branch"));
  const BranchId id = found->id;
  const std::string old_name = found->name;
  PITR_RETURN_IF_ERROR(UpdateBranches(session.repo.get(), [&](BranchSet* set) {
    const Branch* now = set->FindId(id);
    if (now == nullptr || now->deleted_at)
      return Status(Code::kNotFound, "branch \"" + branch + "\" not found");
    if (now->name == new_name) return Status::Ok();
    if (set->IsNameTaken(new_name))
      return Status(Code::kAlreadyExists, "branch \"" + new_name + "\" exists already");
    set->Rename(id, new_name, SystemClock().Now());
    return Status::Ok();
  }));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), new_name, "pitr_rename_branch",
                                 Quoted(old_name) + ", " + Quoted(new_name)));
  return BranchRowOf(fcinfo, &session, id);
}

Result<Datum> Delete(FunctionCallInfo fcinfo, const std::string& name, bool cascade, bool force) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* found, session.BranchArg(name));
  const Timestamp now = SystemClock().Now();
  const Timestamp gone = force ? now : Timestamp{now.micros + kSoftDeleteMicros};
  // What the catalogue says of our own directory may be older than the directory itself.
  PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
  BranchSet left;
  PITR_ASSIGN_OR_RETURN(const std::vector<Branch> deleted,
                        DeleteInCatalogue(session.repo.get(), found->id, session.identity.branch_id,
                                          cascade, now, &left));
  TellOfComputes();
  RowBuilder rows(fcinfo);
  for (const Branch& branch : deleted) {
    // The history stays in the repository while other lines descend from it.
    PITR_RETURN_IF_ERROR(RemoveFromDisk(left, branch, live));
    rows.Text(branch.id).Text(branch.name).Time(now).Time(gone).EndRow();
    PITR_RETURN_IF_ERROR(
        AuditDone(session.repo.get(), branch.name, "pitr_delete_branch", Quoted(name)));
  }
  return rows.Finish();
}

bool FlagArg(FunctionCallInfo fcinfo, int index) {
  return !IsNull(fcinfo, index) && BoolArg(fcinfo, index);
}

Result<Datum> RenameCall(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1)) {
    return Status(Code::kInvalidArgument, "branch and new_name must not be null");
  }
  const std::string branch = TextArg(fcinfo, 0), new_name = TextArg(fcinfo, 1);
  return Audited("pitr_rename_branch", Quoted(branch) + ", " + Quoted(new_name),
                 [&] { return Rename(fcinfo, branch, new_name); });
}

Result<Datum> DeleteCall(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "branch must not be null");
  const std::string branch = TextArg(fcinfo, 0);
  return Audited("pitr_delete_branch", Quoted(branch),
                 [&] { return Delete(fcinfo, branch, FlagArg(fcinfo, 1), FlagArg(fcinfo, 2)); });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_rename_branch) { return pitr::pg::RenameCall(fcinfo); }
PITR_FUNCTION(pitr_delete_branch) { return pitr::pg::DeleteCall(fcinfo); }
