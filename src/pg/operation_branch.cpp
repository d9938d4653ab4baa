// pitr_create_branch in its worker: a directory at the point, as for a restore in place, that gets a server of its own instead of being
// exchanged in. In the catalogue it is "creating" until that server answers; whatever ends the worker before, the launcher's sweep takes
// away what there is.
#include <csignal>
#include <cstdlib>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/plan/restore_plan.h"
#include "core/repo/manifest.h"
#include "core/work/branch_ports.h"
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/branch_build.h"
#include "pg/branch_directory.h"
#include "pg/branch_removal.h"
#include "pg/branch_request.h"
#include "pg/branch_room.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/guc_branch.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/operation_slots.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kStopMillis = 10000, kFirstSnapshotMillis = 60000;
constexpr long kPollMillis = 50;
constexpr std::size_t kMaxScript = 8U << 20;

std::set<int> PortsOf(const BranchSet& set) {
  std::set<int> ports;
  for (const Branch& branch : set.branches) {
    if (branch.compute && !branch.deleted_at) ports.insert(branch.compute->port);
  }
  return ports;
}

Status CheckSource(const BranchSet& set, const BranchId& id, bool is_parent) {
  const Branch* parent = set.FindId(id);
  if (parent == nullptr || parent->deleted_at)
    return Status(Code::kNotFound, "the source branch was deleted meanwhile");
  if (!is_parent || !parent->expires_at) return Status::Ok();
  return Status(Code::kNotReady, "branch \"" + parent->name + "\" expires and cannot have children")
      .WithHint("Clear it first with pitr_set_branch_expiration(branch).");
}

Status Publish(const OperationContext& context, const BranchRequest& request, const BranchId& id) {
  PITR_FAULT("branch.before_publish");
  PITR_RETURN_IF_ERROR(UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* branch = set->FindId(id);
    if (branch == nullptr)
      return Status(Code::kNotFound, "the branch was taken away while it was made");
    branch->state = request.start ? "running" : "stopped";
    branch->builder.reset();
    branch->updated_at = SystemClock().Now();
    return Status::Ok();
  }));
  TellOfComputes();
  return AuditOperation(context, request.restore, request.name.empty() ? id : request.name, "done");
}

auto RolesFor(const OperationContext& context, const RestorePlan& plan) {
  return plan.line == context.identity->branch_id ? AnswerRoles : LeaveRoles;
}

Result<Json> JobOf(const OperationContext& context, const BranchRequest& request,
                   const RestorePlan& plan, const Json& live, const Branch& branch,
                   const std::string& directory) {
  PITR_RETURN_IF_ERROR(PinForLoading(context.repo, plan, branch.id, directory));
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, plan, branch.id, directory, true));
  PutLive(live, &job);
  job["branch_settings"] = SettingsBeside(live, request.settings);
  return job;
}

Status BuildWithRows(const OperationContext& context, const BranchRequest& request,
                     const RestorePlan& plan, const Json& live, const Branch& branch,
                     const std::string& script) {
  PITR_ASSIGN_OR_RETURN(Json job, JobOf(context, request, plan, live, branch, *branch.directory));
  if (branch.is_masked) {
    job["masking"]["script"] = script;
    job["masking"]["role"] = request.restore.role_name;
    job["masking"]["database"] = request.masking_database;
  }
  return RunChild(context, job, RolesFor(context, plan)).status();
}

// By a server at the point, whose directory lies beside for as long.
Status BuildSchema(const OperationContext& context, const BranchRequest& request,
                   const RestorePlan& plan, const Json& live, Branch* branch) {
  PITR_ASSIGN_OR_RETURN(const BranchId other, NewBranchId());
  const std::string directory = JoinPath(*branch->directory + ".pitr", other);
  PITR_ASSIGN_OR_RETURN(Json job, JobOf(context, request, plan, live, *branch, directory));
  job["kind"] = "schema";
  job["branch"] = other;
  job["schema"]["directory"] = *branch->directory;
  job["schema"]["preload_libraries"] = SettingValue("shared_preload_libraries");
  PITR_ASSIGN_OR_RETURN(const Json built, RunChild(context, job, RolesFor(context, plan)));
  PITR_ASSIGN_OR_RETURN(const std::string system, JsonText(built, "system_identifier"));
  branch->root.system_identifier = std::strtoull(system.c_str(), nullptr, 10);
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* found = set->FindId(branch->id);
    if (found == nullptr)
      return Status(Code::kNotFound, "the branch was taken away while it was made");
    found->root = branch->root;
    return Status::Ok();
  });
}

// A line that nothing leads to can be restored when it has a snapshot of its own, which its server takes first of all. The branch is made when that
// takes longer than anybody wants to wait.
Status AwaitFirstSnapshot(const OperationContext& context, const BranchId& id) {
  context.operation->SetPhase("first snapshot");
  const std::int64_t give_up = SystemClock().MonotonicMillis() + kFirstSnapshotMillis;
  while (SystemClock().MonotonicMillis() < give_up) {
    PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                          ListSnapshots(context.repo, nullptr));
    for (const ManifestHead& head : heads) {
      if (head.manifest.branch == id) return Status::Ok();
    }
    if (context.operation->CancelRequested())
      return Status(Code::kCancelled, "the operation was cancelled");
    NapOnLatch(kPollMillis);
    CheckInterrupts();
  }
  return Status::Ok();
}

Status BuildAndStart(const OperationContext& context, const BranchRequest& request,
                     const RestorePlan& plan, const Json& live, const std::string& script,
                     Branch* branch) {
  PITR_RETURN_IF_ERROR(request.schema_only
                           ? BuildSchema(context, request, plan, live, branch)
                           : BuildWithRows(context, request, plan, live, *branch, script));
  PITR_FAULT("branch.built");
  if (request.start) {
    context.operation->SetPhase("start");
    PITR_RETURN_IF_ERROR(StartCompute(
        *branch, [&] { return context.operation->CancelRequested(); },
        [] { return Result<bool>(true); }));
    if (request.schema_only) PITR_RETURN_IF_ERROR(AwaitFirstSnapshot(context, branch->id));
  }
  return Publish(context, request, branch->id);
}

// What it is beside its line.
void Describe(const BranchRequest& request, const Branch& source, Branch* branch) {
  branch->kind = request.schema_only ? BranchKind::kSchemaOnly : BranchKind::kChild;
  branch->name = request.name.empty() ? branch->id : request.name;
  branch->is_masked = !request.masking_file.empty();
  if (!request.schema_only) branch->parent = source.id;
  // Its history begins with itself.
  if (request.schema_only || branch->is_masked) {
    branch->ancestor.reset();
    branch->fork_lsn = {};
    branch->fork_timeline = 0;
  }
  branch->is_protected = request.is_protected;
  branch->expires_at = request.expires_at;
  if (request.expires_at) {
    branch->ttl_seconds = (request.expires_at->micros - branch->created_at.micros) / 1000000;
  }
  branch->created_with = request.restore.arguments;
}

Result<std::string> TakeScript(const std::string& file) {
  if (file.empty()) return std::string();
  Result<std::string> script = ReadTextFile(file, kMaxScript);
  PITR_RETURN_IF_ERROR(RemoveFile(file));
  return script;
}

}  // namespace

Status AddWithPort(const OperationContext& context, Branch* line,
                   const std::function<Status(const BranchSet&)>& check) {
  PITR_ASSIGN_OR_RETURN(const std::vector<PortRange> ranges,
                        ParsePortRanges(CurrentBranchSettings().ports));
  const std::vector<std::string> sockets = SocketDirectories();
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    if (set->FindId(line->id) != nullptr) return Status::Ok();
    PITR_RETURN_IF_ERROR(check(*set));
    if (set->IsNameTaken(line->name))
      return Status(Code::kAlreadyExists, "branch \"" + line->name + "\" exists already");
    PITR_ASSIGN_OR_RETURN(line->compute->port, ChoosePort(ranges, PortsOf(*set), [&](int port) {
                            return IsPortFree(port, sockets);
                          }));
    set->Add(*line);
    return Status::Ok();
  });
}

Result<int> FreePort(const BranchSet& set, int wanted) {
  PITR_ASSIGN_OR_RETURN(const std::vector<PortRange> ranges,
                        ParsePortRanges(CurrentBranchSettings().ports));
  const std::vector<std::string> sockets = SocketDirectories();
  const std::set<int> taken = PortsOf(set);
  if (!taken.contains(wanted) && IsPortFree(wanted, sockets)) return wanted;
  return ChoosePort(ranges, taken, [&](int port) { return IsPortFree(port, sockets); });
}

void RemoveUnmade(const OperationContext& context, const Branch& branch) {
  Status removed = StopServer(*branch.directory, SIGQUIT, kStopMillis);
  if (removed.ok()) removed = RemoveDataDirectory(*branch.directory, DataDirectory());
  const Result<BranchSet> branches = ReadBranches(context.repo);
  if (removed.ok())
    removed =
        branches.ok() ? RemoveWhatLiesBeside(*branches, *branch.directory) : branches.status();
  if (!removed.ok()) LogStatus(WARNING, "could not remove a branch that was not made", removed);
  DropLine(context.repo, branch.id);
}

Result<Json> RunCreateBranch(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const BranchRequest request,
                        BranchRequestFromJson(context.operation->Request()));
  PITR_ASSIGN_OR_RETURN(const std::string script, TakeScript(request.masking_file));
  PITR_ASSIGN_OR_RETURN(BranchSet branches, ReadBranches(context.repo));
  const Branch* source = branches.FindId(request.restore.plan.source);
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr || source == nullptr || source->deleted_at)
    return Status(Code::kNotFound, "the source branch was deleted meanwhile");
  PITR_RETURN_IF_ERROR(ShipSource(context, *source));
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan,
                        PlanAndCheck(context, branches, request.restore, false));
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  PITR_RETURN_IF_ERROR(CheckBranchRoom(place));
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  PITR_ASSIGN_OR_RETURN(const Json live, LiveOf(*source));
  Branch branch = NewLine(*self, plan, id, request.restore.role_name);
  Describe(request, *source, &branch);
  branch.directory = JoinPath(place, id);
  branch.compute = ComputeOf(live, *branch.directory);
  PITR_FAULT("branch.before_line");
  PITR_RETURN_IF_ERROR(AddWithPort(context, &branch, [&](const BranchSet& set) {
    return CheckSource(set, source->id, !request.schema_only);
  }));
  const Status made = BuildAndStart(context, request, plan, live, script, &branch);
  if (!made.ok()) {
    RemoveUnmade(context, branch);
    return made;
  }
  Json result;
  result["branch_id"] = id;
  return result;
}

}  // namespace pitr::pg
