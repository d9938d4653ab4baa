// A restore with finalize => false: the replacement is built as for any restore, and gets a server of its own instead of taking the place of its target,
// which goes on. It is a branch in state "built", to be looked at, until pitr_finalize_restore exchanges it in (operation_restore.cpp,
// operation_restore_other.cpp) or somebody deletes it.
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/branch_build.h"
#include "pg/branch_directory.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/line_build.h"
#include "pg/operation_kinds.h"
#include "pg/restore_request.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

struct Build {
  RestoreRequest request;
  Branch self, target;
  bool is_own = false;  // of the connected branch
  RestorePlan plan;
  Branch line;
};

// Beside its target: what that one's parent has below it.
Result<Branch> LineOf(const Build& build, const BranchSet& branches, const Json& live) {
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  Branch line = NewLine(build.self, build.plan, id, build.request.role_name);
  line.kind = build.target.kind;
  line.parent = build.target.parent;
  line.name = DerivedBranchName(
      build.target.name, "_at_", FormatTime(line.fork_time.value_or(line.created_at), 0),
      [&](const std::string& taken) { return branches.IsNameTaken(taken); });
  line.directory = JoinPath(place, id);
  line.compute = ComputeOf(live, *line.directory);
  const RestoreRequest& request = build.request;
  line.built = {build.target.id,        request.undo_name, request.preserve,
                request.keep_passwords, request.force,     request.below_backup};
  return line;
}

Status CheckTarget(const BranchSet& set, const BranchId& id) {
  const Branch* target = set.FindId(id);
  return target != nullptr && !target->deleted_at
             ? Status::Ok()
             : Status(Code::kNotFound, "the branch was deleted meanwhile");
}

Result<Json> BuildAndStart(const OperationContext& context, const Build& build, const Json& live) {
  const Branch& line = build.line;
  PITR_RETURN_IF_ERROR(PinForLoading(context.repo, build.plan, line.id, *line.directory));
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, build.plan, line.id, *line.directory,
                                           !build.is_own || build.request.keep_passwords));
  PutLive(live, &job);
  // Its own settings are on its command line (StartJob), so that its files are what they shall be.
  job["branch_settings"] = Json::object();
  PITR_ASSIGN_OR_RETURN(const Json built,
                        RunChild(context, job, build.is_own ? AnswerRoles : LeaveRoles));
  PITR_FAULT("branch.built");
  context.operation->SetPhase("start");
  PITR_RETURN_IF_ERROR(StartCompute(
      line, [&] { return context.operation->CancelRequested(); },
      [] { return Result<bool>(true); }));
  PITR_FAULT("branch.before_publish");
  PITR_RETURN_IF_ERROR(UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* branch = set->FindId(line.id);
    if (branch == nullptr)
      return Status(Code::kNotFound, "the branch was taken away while it was made");
    branch->state = "running";
    branch->builder.reset();
    branch->updated_at = SystemClock().Now();
    return Status::Ok();
  }));
  TellOfComputes();
  PITR_RETURN_IF_ERROR(AuditOperation(context, build.request, build.target.name, "built"));
  Json row = RestoreAnswer(context, "built", line.name, line.id, build.plan,
                           built.value("timeline", 0U), "", "");
  const std::string notice = RolesNotice(built);
  if (!notice.empty()) row["notice"] = notice;
  return row;
}

}  // namespace

Result<Json> RunBuildRestore(const OperationContext& context) {
  Build build;
  PITR_ASSIGN_OR_RETURN(build.request, RequestFromJson(context.operation->Request()));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const Branch* self = branches.FindId(context.identity->branch_id);
  const Branch* target = branches.FindId(build.request.plan.self);
  if (self == nullptr)
    return Status(Code::kForeign, "this server's branch is not in the repository");
  PITR_RETURN_IF_ERROR(CheckTarget(branches, build.request.plan.self));
  build.self = *self;
  build.target = *target;
  build.is_own = target->id == self->id;
  PITR_RETURN_IF_ERROR(ShipSourceOf(context, branches, build.target, build.request.plan.source));
  // As for a restore that goes on: what would stand in its way then is told now.
  PITR_ASSIGN_OR_RETURN(build.plan, PlanAndCheck(context, branches, build.request, build.is_own));
  PITR_ASSIGN_OR_RETURN(const Json live, LiveOf(*target));
  PITR_ASSIGN_OR_RETURN(build.line, LineOf(build, branches, live));
  PITR_FAULT("build.before_line");
  PITR_RETURN_IF_ERROR(AddWithPort(context, &build.line, [&](const BranchSet& set) {
    return CheckTarget(set, build.target.id);
  }));
  Result<Json> row = BuildAndStart(context, build, live);
  if (!row.ok()) RemoveUnmade(context, build.line);
  return row;
}

}  // namespace pitr::pg
