#include "pg/line_build.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/plan/prepared.h"
#include "core/repo/pins.h"
#include "core/repo/records.h"
#include "pg/demand.h"
#include "pg/fetch_worker.h"
#include "pg/guc.h"
#include "pg/in_transaction.h"
#include "pg/log.h"
#include "pg/restore_checks.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

std::string PreloadLibraries(const RestorePlan& plan) {
  // Only when the WAL to replay has records that need somebody else's resource manager (internals 11).
  return plan.custom_resource_managers.empty() ? std::string()
                                               : SettingValue("shared_preload_libraries");
}

// Names from a built answer, as one readable line.
std::string NamesIn(const Json& built, const char* member) {
  std::string text;
  const Json* list = JsonArray(built, member);
  if (list == nullptr) return text;
  for (const Json& name : *list)
    text += (text.empty() ? "\"" : ", \"") + name.get<std::string>() + "\"";
  return text;
}

}  // namespace

Result<RestorePlan> PlanAndCheck(const OperationContext& context, const BranchSet& branches,
                                 const RestoreRequest& request, bool of_this_server) {
  context.operation->SetPhase("plan");
  PITR_ASSIGN_OR_RETURN(RestorePlan plan,
                        PlanRestore(context.repo, branches, request.plan, nullptr, nullptr));
  if (of_this_server) {
    PITR_ASSIGN_OR_RETURN(const std::vector<std::string> prepared,
                          PreparedAt(context.repo, branches, plan));
    const Dependants dependants = InTransaction([] { return FindDependants(true); });
    PITR_RETURN_IF_ERROR(CheckDependants(dependants, prepared, request.force));
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<DiskNeed> needs, FindDiskNeeds(context.repo, plan));
  PITR_RETURN_IF_ERROR(CheckDiskNeeds(needs));
  context.operation->SetReplay({}, plan.record_end);
  return plan;
}

Status AuditOperation(const OperationContext& context, const RestoreRequest& request,
                      const std::string& branch, const char* outcome) {
  return AppendAudit(context.repo,
                     {SystemClock().Now(), request.role_name, request.client_addr, branch,
                      request.function, request.arguments, context.id, outcome, ""});
}

Result<Json> CommonJob(const OperationContext& context, const std::string& directory,
                       const std::string& sockets_below) {
  PITR_ASSIGN_OR_RETURN(const std::string branches, BranchDirectory());
  PITR_ASSIGN_OR_RETURN(
      const std::string sockets,
      PrivateSocketDirectory(sockets_below.empty() ? branches : sockets_below, context.id));
  Json job;
  job["directory"] = directory;
  job["bin_directory"] = BinDirectory();
  job["program"] = PitrProgram();
  job["socket_directory"] = sockets;
  job["superuser"] = InTransaction([] { return BootstrapSuperuser(); });
  PITR_ASSIGN_OR_RETURN(job["live"], LiveServerJson());
  return job;
}

Result<Json> BuildJob(const OperationContext& context, const RestorePlan& plan,
                      const BranchId& branch, const std::string& directory, bool keep_passwords,
                      const std::string& sockets_below) {
  Identity identity = *context.identity;
  identity.branch_id = branch;
  identity.root = plan.root;
  PITR_ASSIGN_OR_RETURN(Json job, CommonJob(context, directory, sockets_below));
  const Settings settings = CurrentSettings();
  job["kind"] = "build";
  PutAccess(settings.repository, &job);
  job["identity"] = EncodeIdentity(identity);
  job["plan"] = PlanToJson(plan);
  job["workers"] = settings.restore_workers;
  job["read_ahead_bytes"] = static_cast<std::int64_t>(settings.wal_read_ahead_kb) * 1024;
  job["recovery_settings"] = settings.recovery_settings;
  job["preload_libraries"] = PreloadLibraries(plan);
  job["library"] = PreloadName();
  if (CheckDemandLoading().ok()) {
    job["demand_load"]["fetch_workers"] = RegisteredFetchWorkers();
  }
  job["keep_passwords"] = keep_passwords;
  job["branch"] = branch;
  return job;
}

void PutLive(const Json& live, Json* job) {
  (*job)["live"] = live;
  (*job)["live"]["own_standby_names"] = live["synchronous_standby_names"];
}

Branch NewLine(const Branch& self, const RestorePlan& plan, const BranchId& id,
               const std::string& role) {
  Branch line;
  line.id = id;
  line.name = id;
  line.kind = self.kind;
  line.root = plan.root;
  line.ancestor = plan.owner;
  line.fork_lsn = plan.record_end;
  line.fork_timeline = plan.timeline;
  if (plan.last_commit) line.fork_time = plan.last_commit->event.time;
  line.state = "creating";
  line.builder = self.id;
  line.created_at = line.updated_at = SystemClock().Now();
  line.created_by = role;
  return line;
}

void DropLine(Repository* repo, const BranchId& id) {
  const Status dropped = UpdateBranches(repo, [&](BranchSet* set) {
    set->GiveUp(id, SystemClock().Now());
    return Status::Ok();
  });
  if (!dropped.ok()) LogStatus(WARNING, "could not remove a branch that was not built", dropped);
  const Status unpinned = UnpinBranch(repo, id);
  if (!unpinned.ok()) LogStatus(WARNING, "could not let go of a snapshot", unpinned);
}

Status PinForLoading(Repository* repo, const RestorePlan& plan, const BranchId& id,
                     const std::string& directory) {
  if (!CheckDemandLoading().ok()) return Status::Ok();
  return PinSnapshot(repo, NewPin(plan.snapshot, id, directory, SystemClock().Now()));
}

Json RestoreAnswer(const OperationContext& context, const char* state, const std::string& branch,
                   const BranchId& id, const RestorePlan& plan, TimelineId timeline,
                   const std::string& undo_name, const BranchId& undo_id) {
  Json row;
  row["operation_id"] = context.id;
  row["state"] = state;
  row["branch"] = branch;
  row["branch_id"] = id;
  row["restored_lsn"] = plan.record_end.ToString();
  row["commit_time"] = plan.last_commit ? Json(plan.last_commit->event.time.micros) : Json(nullptr);
  row["commit_xid"] = plan.last_commit ? Json(plan.last_commit->event.xid) : Json(nullptr);
  row["timeline"] = timeline;
  row["undo_branch"] = undo_name.empty() ? Json(nullptr) : Json(undo_name);
  row["undo_branch_id"] = undo_name.empty() ? Json(nullptr) : Json(undo_id);
  return row;
}

std::string RolesNotice(const Json& built) {
  const std::string gone = NamesIn(built, "roles_gone"),
                    disabled = NamesIn(built, "roles_disabled");
  std::string notice;
  if (!gone.empty()) notice = "roles created since are gone: " + gone;
  if (!disabled.empty()) {
    notice +=
        (notice.empty() ? "" : "; ") + ("roles dropped since are back without login: " + disabled);
  }
  return notice;
}

Result<Json> LeaveRoles(const std::string& need) {
  Json none;
  none[need] = nullptr;
  return none;
}

Result<Json> AnswerRoles(const std::string& need) {
  if (need != "roles") return Status(Code::kInternal, "the child process needs \"" + need + "\"");
  Json answer;
  answer["roles"] = InTransaction([] { return RolesJson(); });
  return answer;
}

}  // namespace pitr::pg
