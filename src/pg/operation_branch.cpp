// pitr_create_branch in its worker: a directory at the point, as for a restore in place, that gets a server of its own instead of being
// exchanged in. In the catalogue it is "creating" until that server answers; whatever ends the worker before, the launcher's sweep takes
// away what there is.
#include <csignal>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/plan/restore_plan.h"
#include "core/repo/records.h"
#include "core/work/branch_ports.h"
#include "core/work/tablespaces.h"
#include "pg/branch_directory.h"
#include "pg/branch_request.h"
#include "pg/branch_room.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/guc_branch.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/restore_checks.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kStopMillis = 10000;

// What a branch has otherwise than its source, in its postgresql.auto.conf: ALTER SYSTEM there changes it.
Json SettingsOf(const Json& live, const BranchRequest& request) {
  Json base = Json::array();
  for (const Json& option : live.value("options", Json::array())) {
    const std::string text = option.get<std::string>();
    const std::string name = text.substr(0, text.find('='));
    if (GoesAlong(name)) base.push_back({name, text.substr(name.size() + 1)});
  }
  const BranchSettings wanted = CurrentBranchSettings();
  const std::pair<const char*, const char*> quiet[] = {
      // Its first commit would wait for standbys that it does not have.
      {"synchronous_standby_names", ""},
      {"pitr.synchronous", "off"},
      // Should somebody start it by hand.
      {"pitr.branch_directory", ""},
      {"huge_pages", "off"},
      {"pitr.archive_workers", "0"},
      {"pitr.fetch_workers", "1"},
  };
  for (const auto& [name, value] : quiet)
    base.push_back({name, value});
  if (SettingValue("log_directory").starts_with('/')) base.push_back({"log_directory", "log"});
  if (!wanted.activity) {
    base.push_back({"max_logical_replication_workers", "0"});
    if (SettingValue("shared_preload_libraries").find("pg_cron") != std::string::npos)
      base.push_back({"cron.launch_active_jobs", "off"});
  }
  Json settings;
  settings["base"] = base;
  settings["text"] = wanted.settings;
  settings["own"] = Json::array();
  for (const auto& [name, value] : request.settings)
    settings["own"].push_back({name, value});
  return settings;
}

std::set<int> PortsOf(const BranchSet& set) {
  std::set<int> ports;
  for (const Branch& branch : set.branches) {
    if (branch.compute && !branch.deleted_at) ports.insert(branch.compute->port);
  }
  return ports;
}

// Name and port are this branch's from here on.
Status AddBranch(const OperationContext& context, Branch* line) {
  PITR_ASSIGN_OR_RETURN(const std::vector<PortRange> ranges,
                        ParsePortRanges(CurrentBranchSettings().ports));
  const std::vector<std::string> sockets = SocketDirectories();
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    if (set->FindId(line->id) != nullptr) return Status::Ok();
    const Branch* parent = set->FindId(*line->parent);
    if (parent == nullptr || parent->deleted_at)
      return Status(Code::kNotFound, "the source branch was deleted meanwhile");
    if (parent->expires_at) {
      return Status(Code::kNotReady,
                    "branch \"" + parent->name + "\" expires and cannot have children")
          .WithHint("Clear it first with pitr_set_branch_expiration(branch).");
    }
    if (set->IsNameTaken(line->name))
      return Status(Code::kAlreadyExists, "branch \"" + line->name + "\" exists already");
    PITR_ASSIGN_OR_RETURN(line->compute->port, ChoosePort(ranges, PortsOf(*set), [&](int port) {
                            return IsPortFree(port, sockets);
                          }));
    set->Add(*line);
    return Status::Ok();
  });
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
  return AppendAudit(context.repo,
                     {SystemClock().Now(), request.restore.role_name, request.restore.client_addr,
                      request.name.empty() ? id : request.name, "pitr_create_branch",
                      request.restore.arguments, context.id, "done", ""});
}

Status BuildAndStart(const OperationContext& context, const BranchRequest& request,
                     const RestorePlan& plan, const Json& live, const Branch& branch) {
  PITR_RETURN_IF_ERROR(PinForLoading(context.repo, plan, branch.id, *branch.directory));
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, plan, branch.id, *branch.directory, true));
  job["live"] = live;
  // Its own setting of it is among the others.
  job["live"]["own_standby_names"] = live["synchronous_standby_names"];
  job["branch_settings"] = SettingsOf(live, request);
  // Those of another branch are not ours to know: they stay as they were at the point.
  const bool is_own = plan.line == context.identity->branch_id;
  PITR_ASSIGN_OR_RETURN(const Json built,
                        RunChild(context, job, [&](const std::string& need) -> Result<Json> {
                          if (is_own) return AnswerRoles(need);
                          Json none;
                          none[need] = nullptr;
                          return none;
                        }));
  (void)built;
  PITR_FAULT("branch.built");
  if (request.start) {
    context.operation->SetPhase("start");
    PITR_RETURN_IF_ERROR(StartCompute(
        branch, [&] { return context.operation->CancelRequested(); },
        [] { return Result<bool>(true); }));
  }
  return Publish(context, request, branch.id);
}

// Of a branch that came to nothing.
void RemoveBranch(const OperationContext& context, const Branch& branch) {
  Status removed = StopServer(*branch.directory, SIGQUIT, kStopMillis);
  if (removed.ok()) removed = RemoveDataDirectory(*branch.directory, DataDirectory());
  if (removed.ok()) removed = RemoveTree(*branch.directory + ".pitr");
  if (removed.ok()) removed = RemoveFile(ComputeLog(*branch.directory));
  if (!removed.ok()) LogStatus(WARNING, "could not remove a branch that was not made", removed);
  DropLine(context.repo, branch.id);
}

}  // namespace

Result<Json> RunCreateBranch(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const BranchRequest request,
                        BranchRequestFromJson(context.operation->Request()));
  PITR_ASSIGN_OR_RETURN(BranchSet branches, ReadBranches(context.repo));
  const Branch* source = branches.FindId(request.restore.plan.source);
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr || source == nullptr || source->deleted_at)
    return Status(Code::kNotFound, "the source branch was deleted meanwhile");
  PITR_RETURN_IF_ERROR(ShipSource(context, *source));
  context.operation->SetPhase("plan");
  PITR_ASSIGN_OR_RETURN(
      const RestorePlan plan,
      PlanRestore(context.repo, branches, request.restore.plan, nullptr, nullptr));
  PITR_ASSIGN_OR_RETURN(const std::vector<DiskNeed> needs, FindDiskNeeds(context.repo, plan));
  PITR_RETURN_IF_ERROR(CheckDiskNeeds(needs));
  context.operation->SetReplay({}, plan.record_end);
  PITR_ASSIGN_OR_RETURN(const std::string place, ComputesDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  PITR_RETURN_IF_ERROR(CheckBranchRoom(place));
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  PITR_ASSIGN_OR_RETURN(const Json live, LiveOf(*source));
  Branch branch = NewLine(*self, plan, id, request.restore.role_name);
  branch.kind = BranchKind::kChild;
  branch.name = request.name.empty() ? id : request.name;
  branch.parent = source->id;
  branch.directory = JoinPath(place, id);
  branch.compute = ComputeOf(live, *branch.directory);
  branch.is_protected = request.is_protected;
  branch.expires_at = request.expires_at;
  if (request.expires_at) {
    branch.ttl_seconds = (request.expires_at->micros - branch.created_at.micros) / 1000000;
  }
  branch.created_with = request.restore.arguments;
  PITR_FAULT("branch.before_line");
  PITR_RETURN_IF_ERROR(AddBranch(context, &branch));
  const Status made = BuildAndStart(context, request, plan, live, branch);
  if (!made.ok()) {
    RemoveBranch(context, branch);
    return made;
  }
  Json result;
  result["branch_id"] = id;
  return result;
}

}  // namespace pitr::pg
