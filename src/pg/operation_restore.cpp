// The restore and undo operations up to the point where the replacement directory is ready to be exchanged in.
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/branches.h"
#include "core/repo/records.h"
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/branch_hold.h"
#include "pg/branch_source.h"
#include "pg/demand.h"
#include "pg/exchange_worker.h"
#include "pg/guc.h"
#include "pg/in_transaction.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/restore_checks.h"
#include "pg/restore_request.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/syslogger.h"
#include "utils/guc.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kShipMillis = 120000;

// The line that the replacement will write, in the catalogue before it exists on disk, without the name yet.
Status AddLine(Repository* repo, const Branch& self, const RestorePlan& plan, const BranchId& id,
               const std::string& role) {
  Branch line = NewLine(self, plan, id, role);
  line.parent = self.parent;
  return UpdateBranches(repo, [&](BranchSet* set) {
    if (set->FindId(id) == nullptr) set->Add(line);
    return Status::Ok();
  });
}

std::string NewUndoName(const BranchSet& branches, const std::string& name,
                        const std::string& wanted, Timestamp now) {
  if (!wanted.empty()) return wanted;
  return UndoBranchName(name, FormatTime(now, 0),
                        [&](const std::string& taken) { return branches.IsNameTaken(taken); });
}

Intent NewIntent(const OperationContext& context, const RestoreRequest& request,
                 const Branch& self) {
  Intent intent;
  intent.operation = context.id;
  intent.branch_name = self.name;
  intent.outgoing = self.id;
  intent.preserve = request.preserve;
  intent.below_backup = request.below_backup;
  intent.reset = request.reset;
  intent.role_name = request.role_name;
  intent.arguments = request.arguments;
  intent.undo_directory_seconds =
      static_cast<std::int64_t>(CurrentSettings().undo_directory_retention_min) * 60;
  // One with ".." is where it was from the new directory as well.
  if (Logging_collector) {
    const std::string log = SettingValue("log_directory");
    if (!log.empty() && log.front() != '/' && log.find("..") == std::string::npos) {
      intent.log_directory = log;
    }
  }
  return intent;
}

// What pitr.max_replay_time reckons with, by the server that comes up.
Status RecordReplay(const OperationContext& context, std::uint64_t bytes, std::uint64_t millis) {
  OperationRecord record = RecordOfSlot(context.operation->Copy());
  Json replay;
  replay["replay_bytes"] = bytes;
  replay["replay_ms"] = millis;
  record.result = DumpJson(replay);
  return AppendOperation(context.repo, record);
}

Result<Json> BuildAndExchange(const OperationContext& context, const RestoreRequest& request,
                              const BranchSet& branches, const Branch& self,
                              const RestorePlan& plan, const std::string& directory,
                              const BranchId& id) {
  PITR_ASSIGN_OR_RETURN(const Json job,
                        BuildJob(context, plan, id, directory, request.keep_passwords));
  BeginCheckpoint();
  PITR_ASSIGN_OR_RETURN(const Json built, RunChild(context, job, AnswerRoles));
  Intent intent = NewIntent(context, request, self);
  intent.kind = "restore";
  intent.incoming = id;
  intent.cut_at = SystemClock().Now();
  intent.undo_name = NewUndoName(branches, self.name, request.undo_name, intent.cut_at);
  PITR_ASSIGN_OR_RETURN(intent.live_directory, RealDataDirectory());
  intent.staged_directory = directory;
  intent.notes = RolesNotice(built);
  Json answer =
      RestoreAnswer(context, "exchanging", self.name, id, plan, built.value("timeline", 0U),
                    request.preserve ? intent.undo_name : std::string(), self.id);
  if (!intent.notes.empty()) answer["notice"] = intent.notes;
  PITR_RETURN_IF_ERROR(
      RecordReplay(context, plan.wal_bytes, built.value("replay_ms", std::uint64_t{0})));
  PITR_RETURN_IF_ERROR(AuditOperation(context, request, self.name, "exchanging"));
  return PerformExchange(context, intent, answer);
}

}  // namespace

Result<Json> RunRestore(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const RestoreRequest request,
                        RequestFromJson(context.operation->Request()));
  PITR_RETURN_IF_ERROR(CheckNoExchangePending());
  PITR_RETURN_IF_ERROR(CheckServerCanExchange());
  // The newest restorable moment is the one that the repository holds: bring it there first.
  context.operation->SetPhase("ship WAL");
  PITR_RETURN_IF_ERROR(RequestShip(kShipMillis, context.operation));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr)
    return Status(Code::kForeign, "this server's branch is not in the repository");
  // Of another branch as well, whose server is not this one.
  if (request.plan.source != "^self")
    PITR_RETURN_IF_ERROR(ShipSourceOf(context, branches, *self, request.plan.source));
  if (self->state == "restoring")
    return Status(Code::kInUse,
                  "branch \"" + self->name + "\" is being restored by another server");
  // The session looked at all of it a moment ago.
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan, PlanAndCheck(context, branches, request, true));
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  PITR_ASSIGN_OR_RETURN(const std::string branch_directory, BranchDirectory());
  const std::string directory = JoinPath(branch_directory, id);
  PITR_FAULT("build.before_line");
  PITR_RETURN_IF_ERROR(AddLine(context.repo, *self, plan, id, request.role_name));
  Status pinned = PinForLoading(context.repo, plan, id, directory);
  Result<Json> result =
      pinned.ok() ? BuildAndExchange(context, request, branches, *self, plan, directory, id)
                  : Result<Json>(std::move(pinned));
  // Only failures come back here.
  const Status removed = RemoveDataDirectory(directory, DataDirectory());
  if (!removed.ok()) LogStatus(WARNING, "could not remove the replacement directory", removed);
  DropLine(context.repo, id);
  return result;
}

namespace {

// The directory that comes in is there already: an undo branch's, or one that was built to be looked at first.
Result<Json> PrepareAndExchange(const OperationContext& context, const RestoreRequest& request,
                                const BranchSet& branches, const Branch& self,
                                const Branch& incoming) {
  PITR_ASSIGN_OR_RETURN(Json job, CommonJob(context, *incoming.directory));
  job["kind"] = "prepare";
  if (incoming.built && request.keep_passwords) {
    job["carry_roles"] = true;
    job["library"] = PreloadName();
  }
  BeginCheckpoint();
  PITR_ASSIGN_OR_RETURN(const Json built, RunChild(context, job, AnswerRoles));
  Intent intent = NewIntent(context, request, self);
  intent.kind = incoming.built ? "finalize" : "undo";
  intent.incoming = incoming.id;
  intent.cut_at = SystemClock().Now();
  intent.undo_name = NewUndoName(branches, self.name, request.undo_name, intent.cut_at);
  intent.notes = RolesNotice(built);
  PITR_ASSIGN_OR_RETURN(intent.live_directory, RealDataDirectory());
  intent.staged_directory = *incoming.directory;
  RestorePlan plan;
  const Result<Lsn> end = Lsn::Parse(built.value("end_lsn", std::string("0/0")));
  if (incoming.built) {
    plan.record_end = incoming.fork_lsn;
  } else if (end.ok()) {
    plan.record_end = *end;
  }
  Json answer = RestoreAnswer(context, "exchanging", self.name, incoming.id, plan,
                              built.value("timeline", 0U),
                              request.preserve ? intent.undo_name : std::string(), self.id);
  if (incoming.built && incoming.fork_time) answer["commit_time"] = incoming.fork_time->micros;
  if (!intent.notes.empty()) answer["notice"] = intent.notes;
  PITR_RETURN_IF_ERROR(AuditOperation(context, request, self.name, "exchanging"));
  return PerformExchange(context, intent, answer);
}

// One that was looked at has a server.
Result<Json> StopAndExchange(const OperationContext& context, const RestoreRequest& request,
                             const BranchSet& branches, const Branch& self,
                             const Branch& incoming) {
  PITR_FAULT("finalize.held");
  PITR_RETURN_IF_ERROR(StopForGood(*incoming.directory));
  PITR_FAULT("finalize.stopped");
  return PrepareAndExchange(context, request, branches, self, incoming);
}

}  // namespace

Result<Json> RunUndo(const OperationContext& context) {
  const Json json = context.operation->Request();
  PITR_ASSIGN_OR_RETURN(const RestoreRequest request, RequestFromJson(json));
  PITR_ASSIGN_OR_RETURN(const std::string incoming_id, JsonText(json, "incoming_id"));
  PITR_RETURN_IF_ERROR(CheckNoExchangePending());
  PITR_RETURN_IF_ERROR(CheckServerCanExchange());
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const Branch* self = branches.FindId(context.identity->branch_id);
  const Branch* incoming = branches.FindId(incoming_id);
  if (self == nullptr || incoming == nullptr || incoming->deleted_at || !incoming->directory ||
      !PathExists(*incoming->directory)) {
    return Status(Code::kNotFound, "the directory of the branch that comes back is not there");
  }
  PITR_RETURN_IF_ERROR(
      CheckDependants(InTransaction([] { return FindDependants(true); }), {}, request.force));
  if (!incoming->built) return PrepareAndExchange(context, request, branches, *self, *incoming);
  PITR_RETURN_IF_ERROR(HoldBranch(context, *incoming));
  Result<Json> result = StopAndExchange(context, request, branches, *self, *incoming);
  // Only failures come back here.
  LetGoOfBranch(context, *incoming);
  return result;
}

}  // namespace pitr::pg
