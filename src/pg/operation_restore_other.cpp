// A restore of another branch than the connected one, whose server runs beside this one: its replacement is built here, and takes its place by one
// update of the catalogue, between a stop and a start. No directory moves: the branch's server has another one from then on, and the old one is the
// undo branch's. "restoring" in the catalogue keeps everybody from starting it meanwhile; what a death leaves there, the sweep puts back.
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/intent.h"
#include "core/work/tablespaces.h"
#include "pg/branch_directory.h"
#include "pg/branch_hold.h"
#include "pg/branch_removal.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/guc.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/restore_request.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kImmediateMillis = 10000;

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

struct Switch {
  Branch target;                // as it was
  Branch incoming;              // with what its server will be
  std::optional<Branch> known;  // incoming as it was, when it is no line that was made for this
  std::string undo_name;
  bool preserve = true, reset = false, below_backup = false;
};

// One way and, when its server does not start, the other.
Status SwitchNames(const OperationContext& context, const Switch& change, Timestamp now) {
  PITR_FAULT("branch.restore.before_names");
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* before = set->FindId(change.target.id);
    Branch* after = set->FindId(change.incoming.id);
    if (before == nullptr || after == nullptr || before->deleted_at)
      return Status(Code::kNotFound, "the branch was deleted meanwhile");
    const bool runs = change.target.state == "running";
    if (before->name != change.target.name || before->state != (runs ? "restoring" : "stopped"))
      return Status(Code::kInUse, "branch \"" + change.target.name + "\" was changed meanwhile");
    if (set->IsNameTaken(change.undo_name)) {
      return Status(Code::kAlreadyExists, "branch \"" + change.undo_name + "\" exists already");
    }
    set->HandOver(before->id, after->id, change.undo_name, now, change.below_backup);
    after->compute = change.incoming.compute;
    after->directory = change.incoming.directory;
    after->directory_place.reset();
    after->directory_expires_at.reset();
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
    const std::string left = change.known ? change.known->name : change.incoming.id;
    set->Rename(change.incoming.id, left, SystemClock().Now());
    set->Rename(change.target.id, change.target.name, SystemClock().Now());
    *before = change.target;
    for (Branch& branch : set->branches) {
      if (branch.built && branch.built->target == change.incoming.id)
        branch.built->target = change.target.id;
    }
    Branch* line = set->FindId(change.incoming.id);
    if (line != nullptr && change.known) {
      *line = *change.known;
    } else if (line != nullptr) {
      // Nothing but a line that is being made, for whoever takes it away.
      line->state = "creating";
      line->builder = context.identity->branch_id;
      line->compute.reset();
    }
    return Status::Ok();
  });
}

Status StopAndSwitch(const OperationContext& context, const Switch& change) {
  PITR_FAULT("branch.restore.before_stop");
  PITR_RETURN_IF_ERROR(StopForGood(*change.target.directory));
  // Its own server may have exchanged it meanwhile.
  if (!HasComputeHere(change.target) || PathExists(IntentPath(*change.target.directory)))
    return Status(Code::kInUse, "branch \"" + change.target.name + "\" was restored meanwhile");
  return SwitchNames(context, change, SystemClock().Now());
}

// From the stop of the one server to the answer of the other.
Status ExchangeServers(const OperationContext& context, const Switch& change) {
  const auto never = [] { return false; };
  const bool runs = change.target.state == "running";
  context.operation->SetPhase("exchange");
  if (!context.operation->ForbidCancel())
    return Status(Code::kCancelled, "the operation was cancelled");
  PITR_RETURN_IF_ERROR(HoldBranch(context, change.target));
  Status status = StopAndSwitch(context, change);
  if (!status.ok()) {
    LetGoOfBranch(context, change.target);
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

std::string UndoNameFor(const BranchSet& branches, const RestoreRequest& request,
                        const Branch& target) {
  if (!request.undo_name.empty()) return request.undo_name;
  return UndoBranchName(target.name, FormatTime(SystemClock().Now(), 0),
                        [&](const std::string& taken) { return branches.IsNameTaken(taken); });
}

// Behind the exchange.
Result<Json> Conclude(const OperationContext& context, const RestoreRequest& request,
                      const BranchSet& branches, const Switch& change, const RestorePlan& plan,
                      TimelineId timeline) {
  if (!change.preserve) {
    Status removed = RemoveDataDirectory(*change.target.directory, DataDirectory());
    if (removed.ok()) removed = RemoveWhatLiesBeside(branches, *change.target.directory);
    if (!removed.ok()) LogStatus(WARNING, "could not remove what was restored over", removed);
  }
  PITR_RETURN_IF_ERROR(AuditOperation(context, request, change.target.name, "done"));
  return RestoreAnswer(context, "done", change.target.name, change.incoming.id, plan, timeline,
                       change.preserve ? change.undo_name : std::string(), change.target.id);
}

// The server of the target has this directory from now on.
void TakeServer(const Json& live, Switch* change) {
  change->incoming.compute = ComputeOf(live, *change->incoming.directory);
  change->incoming.compute->port = change->target.compute->port;
}

Result<Json> BuildAndSwitch(const OperationContext& context, const RestoreRequest& request,
                            const BranchSet& branches, const RestorePlan& plan, Switch change) {
  const std::string& directory = *change.incoming.directory;
  PITR_RETURN_IF_ERROR(PinForLoading(context.repo, plan, change.incoming.id, directory));
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, plan, change.incoming.id, directory, true));
  PITR_ASSIGN_OR_RETURN(const Json live, LiveOf(change.target));
  PutLive(live, &job);
  // All that it has otherwise is among its own files.
  job["branch_settings"] = Json::object();
  PITR_ASSIGN_OR_RETURN(const Json built, RunChild(context, job, LeaveRoles));
  TakeServer(live, &change);
  change.undo_name = UndoNameFor(branches, request, change.target);
  PITR_RETURN_IF_ERROR(ExchangeServers(context, change));
  return Conclude(context, request, branches, change, plan, built.value("timeline", 0U));
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
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan, PlanAndCheck(context, branches, request, false));
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  Switch change;
  change.target = *target;
  change.preserve = request.preserve;
  change.reset = request.reset;
  change.below_backup = request.below_backup;
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

namespace {

// Where servers of branches have their directories. One that its own server has exchanged away lies beside that; should we die in between, the
// sweep finds it where it is.
Status BringBeside(const OperationContext& context, Branch* branch) {
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  if (DirectoryName(*branch->directory) == place) return Status::Ok();
  // That of its own id may be in use: exchanges move lines between directories.
  PITR_ASSIGN_OR_RETURN(const std::string name, NewBranchId());
  const std::string wanted = JoinPath(place, name);
  PITR_FAULT("undo_other.before_move");
  if (rename(branch->directory->c_str(), wanted.c_str()) != 0)
    return Status::FromErrno(errno, "rename \"" + *branch->directory + "\"");
  PITR_RETURN_IF_ERROR(SyncDirectory(place));
  PITR_RETURN_IF_ERROR(SyncDirectory(DirectoryName(*branch->directory)));
  PITR_FAULT("undo_other.moved");
  branch->directory = wanted;
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    if (Branch* now = set->FindId(branch->id)) now->directory = wanted;
    return Status::Ok();
  });
}

Result<Json> PrepareAndSwitch(const OperationContext& context, const RestoreRequest& request,
                              const BranchSet& branches, Switch change) {
  if (change.known->built) PITR_RETURN_IF_ERROR(StopForGood(*change.known->directory));
  PITR_RETURN_IF_ERROR(BringBeside(context, &*change.known));
  change.incoming.directory = change.known->directory;
  PITR_ASSIGN_OR_RETURN(Json job, CommonJob(context, *change.incoming.directory));
  PITR_ASSIGN_OR_RETURN(const Json live, LiveOf(change.target));
  job["kind"] = "prepare";
  PutLive(live, &job);
  job["live"]["options"] = Json::array();
  PITR_ASSIGN_OR_RETURN(const Json built, RunChild(context, job, LeaveRoles));
  TakeServer(live, &change);
  change.undo_name = UndoNameFor(branches, request, change.target);
  PITR_RETURN_IF_ERROR(ExchangeServers(context, change));
  RestorePlan plan;
  const Result<Lsn> end = Lsn::Parse(built.value("end_lsn", std::string("0/0")));
  if (end.ok()) plan.record_end = change.known->built ? change.known->fork_lsn : *end;
  PITR_ASSIGN_OR_RETURN(
      Json row, Conclude(context, request, branches, change, plan, built.value("timeline", 0U)));
  if (change.known->built && change.known->fork_time)
    row["commit_time"] = change.known->fork_time->micros;
  return row;
}

}  // namespace

Result<Json> RunReturnOther(const OperationContext& context) {
  const Json json = context.operation->Request();
  PITR_ASSIGN_OR_RETURN(const RestoreRequest request, RequestFromJson(json));
  PITR_ASSIGN_OR_RETURN(const std::string incoming_id, JsonText(json, "incoming_id"));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  PITR_ASSIGN_OR_RETURN(const Branch* target, FindTarget(branches, request.target));
  const Branch* incoming = branches.FindId(incoming_id);
  if (incoming == nullptr || incoming->deleted_at || !incoming->directory ||
      !PathExists(*incoming->directory)) {
    return Status(Code::kNotFound, "the directory of the branch that comes back is not there");
  }
  Switch change;
  change.target = *target;
  change.incoming = *incoming;
  change.known = *incoming;
  change.preserve = request.preserve;
  change.below_backup = request.below_backup;
  if (incoming->built) PITR_RETURN_IF_ERROR(HoldBranch(context, *incoming));
  Result<Json> row = PrepareAndSwitch(context, request, branches, change);
  if (!row.ok() && incoming->built) LetGoOfBranch(context, *incoming);
  TellOfComputes();
  return row;
}

}  // namespace pitr::pg
