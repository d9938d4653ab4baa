// pitr_undelete_branch in its worker, of a branch that had a server: its directory is built again from the repository, up to the last record of its
// line, and goes on with that line on a timeline of its own, as a promoted standby does. While that is under way the catalogue says "creating", and what
// the branch was: whatever ends the worker, it is deleted as before.
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/branch_build.h"
#include "pg/branch_directory.h"
#include "pg/branch_expiry.h"
#include "pg/branch_kept.h"
#include "pg/branch_removal.h"
#include "pg/branch_request.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// Name and port are the branch's from here on; `branch` gets what it is then.
Status Reserve(const OperationContext& context, const BranchId& id, const std::string& name,
               const std::string& place, Branch* branch) {
  PITR_RETURN_IF_ERROR(UpdateBranches(context.repo, [&](BranchSet* set) -> Status {
    const Timestamp now = SystemClock().Now();
    Branch* found = set->FindId(id);
    const bool is_done = found != nullptr && found->undelete && found->name == name &&
                         found->builder == context.identity->branch_id;
    if (!is_done) {
      PITR_RETURN_IF_ERROR(CheckMayReturn(*set, id, name, now));
      PITR_ASSIGN_OR_RETURN(found->compute->port, FreePort(*set, found->compute->port));
      found->undelete = {*found->deleted_at, found->name, found->state};
      found->deleted_at.reset();
      found->state = "creating";
      found->builder = context.identity->branch_id;
      found->directory = JoinPath(place, id);
      found->directory_place.reset();
      found->updated_at = now;
      set->Rename(id, name, now);
    }
    *branch = *found;
    return Status::Ok();
  }));
  PITR_FAULT("undelete.reserved");
  return Status::Ok();
}

// From the files that its deletion kept; should they be gone, as a branch that is made anew.
Status Build(const OperationContext& context, const RestorePlan& plan, const Branch& branch,
             const std::string& kept) {
  const bool has_kept = !kept.empty() && PathExists(kept);
  PITR_ASSIGN_OR_RETURN(const Json live,
                        has_kept ? LiveIn(*branch.compute, kept) : LiveServerJson());
  PITR_RETURN_IF_ERROR(PinForLoading(context.repo, plan, branch.id, *branch.directory));
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, plan, branch.id, *branch.directory, true));
  PutLive(live, &job);
  job["branch_settings"] = has_kept ? Json::object() : SettingsBeside(live, {});
  return RunChild(context, job,
                  [](const std::string& need) -> Result<Json> {
                    Json none;
                    none[need] = nullptr;
                    return none;
                  })
      .status();
}

Status Publish(const OperationContext& context, const BranchRequest& request,
               const Branch& branch) {
  PITR_FAULT("undelete.before_publish");
  PITR_RETURN_IF_ERROR(UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* found = set->FindId(branch.id);
    if (found == nullptr || found->deleted_at)
      return Status(Code::kNotFound, "the branch was taken away while it was made");
    const Timestamp now = SystemClock().Now();
    found->state = branch.undelete->state;
    found->undelete.reset();
    found->builder.reset();
    found->updated_at = now;
    // It would be deleted again at once.
    if (found->expires_at && *found->expires_at <= now) {
      found->expires_at.reset();
      found->ttl_seconds.reset();
    }
    return Status::Ok();
  }));
  TellOfComputes();
  return AuditOperation(context, request.restore, branch.name, "done");
}

Status Make(const OperationContext& context, const BranchRequest& request, const Branch& branch,
            const std::string& kept) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan,
                        PlanAndCheck(context, branches, request.restore, false));
  PITR_RETURN_IF_ERROR(Build(context, plan, branch, kept));
  if (branch.undelete->state == "running") {
    context.operation->SetPhase("start");
    PITR_RETURN_IF_ERROR(StartCompute(
        branch, [&] { return context.operation->CancelRequested(); },
        [] { return Result<bool>(true); }));
  }
  return Publish(context, request, branch);
}

}  // namespace

Result<Json> RunUndelete(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const BranchRequest request,
                        BranchRequestFromJson(context.operation->Request()));
  const BranchId id = request.restore.plan.source;
  PITR_ASSIGN_OR_RETURN(const BranchSet before, ReadBranches(context.repo));
  const Branch* deleted = before.FindId(id);
  if (deleted == nullptr || !deleted->deleted_at)
    return Status(Code::kInUse, "the branch was brought back meanwhile");
  // A deletion that was interrupted may have left it there, with what is not in the repository yet.
  PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
  PITR_RETURN_IF_ERROR(RemoveFromDisk(context.repo, before, *deleted, live));
  const std::string kept = KeptDirectory(*deleted);
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  Branch branch;
  PITR_RETURN_IF_ERROR(Reserve(context, id, request.name, place, &branch));
  const Status made = Make(context, request, branch, kept);
  if (!made.ok()) {
    RemoveUnmade(context, branch);
    return made;
  }
  const Status removed = RemoveTree(kept);
  if (!removed.ok()) LogStatus(WARNING, "could not remove what was kept of a branch", removed);
  Json result;
  result["branch_id"] = id;
  return result;
}

}  // namespace pitr::pg
