// A look in its worker: a data directory at the point, as for a restore, whose server stays there. What is left of one that fails is the launcher's
// to remove (look_keeper.h); only a look that is marked as ready is ever used.
#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/plan/restore_plan.h"
#include "core/repo/pins.h"
#include "core/work/look.h"
#include "core/work/tablespaces.h"
#include "pg/branch_source.h"
#include "pg/demand.h"
#include "pg/line_build.h"
#include "pg/operation_kinds.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "miscadmin.h"
}

namespace pitr::pg {

namespace {

Result<std::string> OwnMark() {
  const std::optional<ProcessMark> mark = MarkOfProcess(PostmasterPid);
  if (mark) return FormatMark(*mark);
  return Status(Code::kInternal, "this server's own postmaster was not found in /proc");
}

// A directory that was taken over from a look at an earlier point (look_table.cpp). What was planned there may not hold any more, for a new
// snapshot say: then it is built anew. False: there is none.
Result<bool> GoesOn(const RestorePlan& plan, Look* look) {
  if (look->directory.empty()) return false;
  if (look->snapshot == plan.snapshot && look->IsAt(plan.owner, plan.timeline, plan.record_end)) {
    return true;
  }
  PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
  PITR_RETURN_IF_ERROR(RemoveDataDirectory(look->data(), live));
  return false;
}

// What is known of it from here on.
Status Describe(const RestorePlan& plan, Look* look) {
  look->line = plan.owner;
  look->timeline = plan.timeline;
  look->record_end = plan.record_end;
  look->snapshot = plan.snapshot;
  if (plan.last_commit) look->commit_time = plan.last_commit->event.time;
  if (look->directory.empty()) {
    PITR_ASSIGN_OR_RETURN(look->directory, NewBranchId());
  }
  return WriteLook(*look);
}

}  // namespace

Result<Json> RunLook(const OperationContext& context) {
  const Json wanted = context.operation->Request();
  PITR_ASSIGN_OR_RETURN(const RestoreRequest request, RequestFromJson(wanted));
  PITR_ASSIGN_OR_RETURN(const std::string folder, JsonText(wanted, "folder"));
  PITR_ASSIGN_OR_RETURN(Look look, ReadLook(folder));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr) return Status(Code::kNotFound, "the branch was deleted meanwhile");
  PITR_RETURN_IF_ERROR(ShipSourceOf(context, branches, *self, request.plan.source));
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan, PlanAndCheck(context, branches, request, false));
  PITR_ASSIGN_OR_RETURN(const bool goes_on, GoesOn(plan, &look));
  PITR_RETURN_IF_ERROR(Describe(plan, &look));
  if (CheckDemandLoading().ok()) {
    PITR_RETURN_IF_ERROR(PinSnapshot(
        context.repo, NewLookPin(plan.snapshot, look.directory, look.data(), SystemClock().Now())));
  }
  PITR_ASSIGN_OR_RETURN(Json job,
                        BuildJob(context, plan, look.directory, look.data(), true, folder));
  job["kind"] = "look";
  PITR_ASSIGN_OR_RETURN(job["look"]["host"], OwnMark());
  job["look"]["log"] = JoinPath(folder, "log");
  job["look"]["goes_on"] = goes_on;
  if (!look.socket_directory.empty()) PITR_RETURN_IF_ERROR(RemoveTree(look.socket_directory));
  PITR_ASSIGN_OR_RETURN(look.socket_directory, JsonText(job, "socket_directory"));
  PITR_RETURN_IF_ERROR(WriteLook(look));
  PITR_ASSIGN_OR_RETURN(const Json built, RunChild(context, job, LeaveRoles));
  PITR_FAULT("look.before_ready");
  PITR_ASSIGN_OR_RETURN(const bool stands_by, JsonBool(built, "stands_by"));
  look.can_go_on = !stands_by;
  look.is_ready = true;
  PITR_RETURN_IF_ERROR(WriteLook(look));
  return built;
}

}  // namespace pitr::pg
