// pitr_rename_branch and pitr_delete_branch.
#include <algorithm>

#include "pg/boundary.h"
#include "pg/branch_removal.h"
#include "pg/branch_rows.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// The same call again: the branch that it renamed the first time.
const Branch* RenamedBefore(const BranchSet& branches, const std::string& name,
                            const std::string& new_name) {
  const Branch* branch = branches.FindName(new_name);
  if (branch == nullptr || branches.IsNameTaken(name)) return nullptr;
  const auto was_it = [&](const NameSpan& span) {
    return span.id == branch->id && span.name == name;
  };
  return std::any_of(branches.name_spans.begin(), branches.name_spans.end(), was_it) ? branch
                                                                                     : nullptr;
}

Result<Datum> Rename(FunctionCallInfo fcinfo, const std::string& branch,
                     const std::string& new_name) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(Session session, OpenWritingSession());
  if (const Branch* renamed = RenamedBefore(session.branches, branch, new_name))
    return BranchRowOf(fcinfo, &session, renamed->id);
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

// With force, of one that is deleted already: it cannot be brought back from here on.
Result<Datum> LetGo(FunctionCallInfo fcinfo, const Session& session, const std::string& name) {
  const Timestamp now = SystemClock().Now();
  PITR_ASSIGN_OR_RETURN(const Branch* found, session.branches.FindDeleted(name, now));
  const Branch deleted = *found;
  PITR_RETURN_IF_ERROR(UpdateBranches(session.repo.get(), [&](BranchSet* set) {
    Branch* branch = set->FindId(deleted.id);
    if (branch == nullptr || !branch->deleted_at)
      return Status(Code::kInUse, "branch \"" + deleted.name + "\" was brought back meanwhile");
    branch->gone_at = branch->updated_at = now;
    return Status::Ok();
  }));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), deleted.name, "pitr_delete_branch",
                                 Quoted(name) + ", force => true"));
  RowBuilder rows(fcinfo);
  rows.Text(deleted.id).Text(deleted.name).Time(*deleted.deleted_at).Time(now).EndRow();
  return rows.Finish();
}

Result<Datum> Delete(FunctionCallInfo fcinfo, const std::string& name, bool cascade, bool force) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  const bool is_gone = !session.BranchArg(name).ok();
  if (force && is_gone && session.branches.FindDeleted(name, SystemClock().Now()).ok())
    return LetGo(fcinfo, session, name);
  PITR_ASSIGN_OR_RETURN(const Branch* found, session.BranchArg(name));
  const Timestamp now = SystemClock().Now();
  // What the catalogue says of our own directory may be older than the directory itself.
  PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
  BranchSet left;
  PITR_ASSIGN_OR_RETURN(const std::vector<Branch> deleted,
                        DeleteInCatalogue(session.repo.get(), found->id, session.identity.branch_id,
                                          cascade, force, now, &left));
  TellOfComputes();
  RowBuilder rows(fcinfo);
  for (const Branch& branch : deleted) {
    // The history stays in the repository while other lines descend from it.
    PITR_RETURN_IF_ERROR(RemoveFromDisk(session.repo.get(), left, branch, live));
    rows.Text(branch.id).Text(branch.name).Time(now).Time(GoneAt(branch)).EndRow();
    PITR_RETURN_IF_ERROR(
        AuditDone(session.repo.get(), branch.name, "pitr_delete_branch", Quoted(name)));
  }
  return rows.Finish();
}

bool FlagArg(FunctionCallInfo fcinfo, int index) {
  return !IsNull(fcinfo, index) && BoolArg(fcinfo, index);
}

Result<Datum> RenameCall(FunctionCallInfo fcinfo) {
  const std::optional<std::string> branch = OptionalTextArg(fcinfo, 0),
                                   new_name = OptionalTextArg(fcinfo, 1);
  const auto text = [](const std::optional<std::string>& value) {
    return value ? Quoted(*value) : std::string("NULL");
  };
  return Audited("pitr_rename_branch", text(branch) + ", " + text(new_name),
                 [&]() -> Result<Datum> {
                   if (!branch || !new_name) {
                     return Status(Code::kInvalidArgument, "branch and new_name must not be null");
                   }
                   return Rename(fcinfo, *branch, *new_name);
                 });
}

Result<Datum> DeleteCall(FunctionCallInfo fcinfo) {
  return AuditedByName(fcinfo, "pitr_delete_branch", "branch", [&](const std::string& branch) {
    return Delete(fcinfo, branch, FlagArg(fcinfo, 1), FlagArg(fcinfo, 2));
  });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_rename_branch) { return pitr::pg::RenameCall(fcinfo); }
PITR_FUNCTION(pitr_delete_branch) { return pitr::pg::DeleteCall(fcinfo); }
