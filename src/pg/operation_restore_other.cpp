// A restore of another branch than the connected one, whose server runs beside this one: its replacement is built here, and takes its place by one
// update of the catalogue, between a stop and a start. No directory moves: the branch's server has another one from then on, and the old one is the
// undo branch's. "restoring" in the catalogue keeps everybody from starting it meanwhile; what a death leaves there, the sweep puts back.
#include <csignal>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/repo/records.h"
#include "core/work/tablespaces.h"
#include "pg/branch_directory.h"
#include "pg/branch_removal.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/guc.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/restore_checks.h"
#include "pg/restore_request.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kFastMillis = 30000, kImmediateMillis = 10000;

Result<const Branch*> FindTarget(const BranchSet& branches, const BranchId& id) {
  const Branch* target = branches.FindId(id);
  if (target == nullptr || target->deleted_at)
    return Status(Code::kNotFound, "the branch was deleted meanwhile");
  if (target->state == "restoring") {
    return Status(Code::kInUse, "branch \"" + target->name + "\" is being restored");
  }
  if (!HasComputeHere(*target))
    return Status(Code::kNotReady, "branch \"" + target->name + "\" has no server here any more");
  return target;
}

Status AddLine(const OperationContext& context, const Branch& line) {
  PITR_FAULT("build.before_line");
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    if (set->FindId(line.id) == nullptr) set->Add(line);
    return Status::Ok();
  });
}

// From "running" to "restoring" and, when that came to nothing, back. Of a branch that is stopped nothing need be kept away.
Status SetRestoring(const OperationContext& context, const BranchId& id, bool restoring) {
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* branch = set->FindId(id);
    if (branch == nullptr || branch->deleted_at)
      return Status(Code::kNotFound, "the branch was deleted meanwhile");
    branch->state = restoring ? "restoring" : "running";
    branch->builder = restoring ? std::optional(context.identity->branch_id) : std::nullopt;
    return Status::Ok();
  });
}

struct Switch {
  Branch target;    // as it was
  Branch incoming;  // with what its server will be
  std::string undo_name;
  bool preserve = true, reset = false;
};

// One way and, when its server does not start, the other.
Status SwitchNames(const OperationContext& context, const Switch& change, Timestamp now) {
  PITR_FAULT("branch.restore.before_names");
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* before = set->FindId(change.target.id);
    Branch* after = set->FindId(change.incoming.id);
    if (before == nullptr || after == nullptr || before->deleted_at)
      return Status(Code::kNotFound, "the branch was deleted meanwhile");
    if (set->IsNameTaken(change.undo_name)) {
      return Status(Code::kAlreadyExists, "branch \"" + change.undo_name + "\" exists already");
    }
    set->HandOver(before->id, after->id, change.undo_name, now);
    after->compute = change.incoming.compute;
    after->directory = change.incoming.directory;
    after->state = change.target.state;
    if (change.reset && after->ttl_seconds)
      after->expires_at = Timestamp{now.micros + *after->ttl_seconds * 1000000};
    before->state = "stopped";
    before->builder.reset();
    // In the branch directory of the host, which alone is to miss it.
    if (!IsCompute()) before->directory_place = OwnDirectoryPlace();
    before->directory_expires_at = Timestamp{
        now.micros + std::int64_t{60} * CurrentSettings().undo_directory_retention_min * 1000000};
    if (!change.preserve) before->deleted_at = now;
    return Status::Ok();
  });
}

// As if it had not been.
Status SwitchBack(const OperationContext& context, const Switch& change) {
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* before = set->FindId(change.target.id);
    if (before == nullptr) return Status(Code::kNotFound, "the branch is gone");
    set->Rename(change.incoming.id, change.incoming.id, SystemClock().Now());
    set->Rename(change.target.id, change.target.name, SystemClock().Now());
    *before = change.target;
    // Nothing but a line that is being made, for whoever takes it away.
    if (Branch* line = set->FindId(change.incoming.id)) {
      line->state = "creating";
      line->builder = context.identity->branch_id;
      line->compute.reset();
    }
    return Status::Ok();
  });
}

Status StopForIt(const std::string& directory) {
  const Status stopped = StopServer(directory, SIGINT, kFastMillis);
  return stopped.code() == Code::kLockTimeout ? StopServer(directory, SIGQUIT, kImmediateMillis)
                                              : stopped;
}

// From the stop of the one server to the answer of the other.
Status ExchangeServers(const OperationContext& context, const Switch& change) {
  const auto never = [] { return false; };
  const bool runs = change.target.state == "running";
  context.operation->SetPhase("exchange");
  if (!context.operation->ForbidCancel())
    return Status(Code::kCancelled, "the operation was cancelled");
  if (runs) PITR_RETURN_IF_ERROR(SetRestoring(context, change.target.id, true));
  PITR_FAULT("branch.restore.before_stop");
  Status status = StopForIt(*change.target.directory);
  const Timestamp now = SystemClock().Now();
  if (status.ok()) status = SwitchNames(context, change, now);
  if (!status.ok()) {
    if (runs) {
      const Status back = SetRestoring(context, change.target.id, false);
      if (!back.ok()) LogStatus(WARNING, "could not let go of a branch", back);
      TellOfComputes();
    }
    return status;
  }
  if (!runs) return Status::Ok();
  status = StartCompute(change.incoming, never, [] { return Result<bool>(true); });
  if (status.ok()) return status;
  const Status stopped = StopServer(*change.incoming.directory, SIGQUIT, kImmediateMillis);
  if (!stopped.ok()) LogStatus(WARNING, "could not stop a server that does not start", stopped);
  const Status back = SwitchBack(context, change);
  if (!back.ok()) LogStatus(WARNING, "could not bring a branch back", back);
  TellOfComputes();
  return status;
}

Json RowOf(const OperationContext& context, const RestorePlan& plan, const Switch& change,
           TimelineId timeline) {
  Json row;
  row["operation_id"] = context.id;
  row["state"] = "done";
  row["branch"] = change.target.name;
  row["branch_id"] = change.incoming.id;
  row["restored_lsn"] = plan.record_end.ToString();
  row["commit_time"] = plan.last_commit ? Json(plan.last_commit->event.time.micros) : Json(nullptr);
  row["commit_xid"] = plan.last_commit ? Json(plan.last_commit->event.xid) : Json(nullptr);
  row["timeline"] = timeline;
  row["undo_branch"] = change.preserve ? Json(change.undo_name) : Json(nullptr);
  row["undo_branch_id"] = change.preserve ? Json(change.target.id) : Json(nullptr);
  return row;
}

Result<Json> BuildAndSwitch(const OperationContext& context, const RestoreRequest& request,
                            const BranchSet& branches, const RestorePlan& plan, Switch change) {
  const std::string& directory = *change.incoming.directory;
  PITR_RETURN_IF_ERROR(PinForLoading(context.repo, plan, change.incoming.id, directory));
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, plan, change.incoming.id, directory, true));
  PITR_ASSIGN_OR_RETURN(const Json live, LiveOf(change.target));
  job["live"] = live;
  job["live"]["own_standby_names"] = live["synchronous_standby_names"];
  // All that it has otherwise is among its own files.
  job["branch_settings"] = Json::object();
  PITR_ASSIGN_OR_RETURN(const Json built,
                        RunChild(context, job, [](const std::string& need) -> Result<Json> {
                          Json none;
                          none[need] = nullptr;
                          return none;
                        }));
  change.incoming.compute = ComputeOf(live, directory);
  change.incoming.compute->port = change.target.compute->port;
  change.undo_name = request.undo_name;
  if (change.undo_name.empty()) {
    change.undo_name =
        UndoBranchName(change.target.name, FormatTime(SystemClock().Now(), 0),
                       [&](const std::string& taken) { return branches.IsNameTaken(taken); });
  }
  PITR_RETURN_IF_ERROR(ExchangeServers(context, change));
  if (!change.preserve) {
    Status removed = RemoveDataDirectory(*change.target.directory, DataDirectory());
    if (removed.ok()) removed = RemoveWhatLiesBeside(branches, *change.target.directory);
    if (!removed.ok()) LogStatus(WARNING, "could not remove what was restored over", removed);
  }
  PITR_RETURN_IF_ERROR(
      AppendAudit(context.repo,
                  {SystemClock().Now(), request.role_name, request.client_addr, change.target.name,
                   request.function, request.arguments, context.id, "done", ""}));
  return RowOf(context, plan, change, built.value("timeline", 0U));
}

}  // namespace

Result<Json> RunRestoreOther(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const RestoreRequest request,
                        RequestFromJson(context.operation->Request()));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  PITR_ASSIGN_OR_RETURN(const Branch* target, FindTarget(branches, request.target));
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr)
    return Status(Code::kForeign, "this server's branch is not in the repository");
  PITR_RETURN_IF_ERROR(ShipSourceOf(context, branches, *target, request.plan.source));
  context.operation->SetPhase("plan");
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan,
                        PlanRestore(context.repo, branches, request.plan, nullptr, nullptr));
  PITR_ASSIGN_OR_RETURN(const std::vector<DiskNeed> needs, FindDiskNeeds(context.repo, plan));
  PITR_RETURN_IF_ERROR(CheckDiskNeeds(needs));
  context.operation->SetReplay({}, plan.record_end);
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  Switch change;
  change.target = *target;
  change.preserve = request.preserve;
  change.reset = request.reset;
  change.incoming = NewLine(*self, plan, id, request.role_name);
  change.incoming.kind = target->kind;
  change.incoming.parent = target->parent;
  change.incoming.directory = JoinPath(place, id);
  PITR_RETURN_IF_ERROR(AddLine(context, change.incoming));
  Result<Json> row = BuildAndSwitch(context, request, branches, plan, change);
  TellOfComputes();
  if (row.ok()) return row;
  // Not if it has become the branch after all, and only something behind that has failed.
  PITR_ASSIGN_OR_RETURN(const BranchSet now, ReadBranches(context.repo));
  const Branch* line = now.FindId(id);
  if (line != nullptr && line->state != "creating") return row;
  const Status removed = RemoveDataDirectory(*change.incoming.directory, DataDirectory());
  if (!removed.ok()) LogStatus(WARNING, "could not remove the replacement directory", removed);
  DropLine(context.repo, id);
  return row;
}

}  // namespace pitr::pg
