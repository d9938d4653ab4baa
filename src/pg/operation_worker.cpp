// The background worker of one operation: dynamic, never restarted; it takes its slot, runs the operation, writes how it ended into
// the slot and the repository.
#include <csignal>

#include "core/base/json.h"
#include "core/repo/repository.h"
#include "core/store/member_ledger.h"
#include "pg/boundary.h"
#include "pg/completion.h"
#include "pg/guc.h"
#include "pg/identity.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/operation_kinds.h"
#include "pg/recover_keeper.h"
#include "pg/retention_keeper.h"
#include "pg/shmem.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
}

namespace pitr::pg {

namespace {

constinit int my_slot = -1;

// A worker that ends in any other way than by its own word: whoever waits is told.
void OnWorkerExit(int, Datum) {
  OperationsShared& shared = GetShared()->operations;
  if (my_slot < 0) return;
  OperationSlot& slot = shared.slots[my_slot];
  if (slot.state != OperationState::kQueued && slot.state != OperationState::kRunning &&
      slot.state != OperationState::kExchanging) {
    return;
  }
  strlcpy(slot.error, "the operation's worker process ended", sizeof slot.error);
  strlcpy(slot.sqlstate, "57P01", sizeof slot.sqlstate);
  slot.worker_pid = 0;
  slot.finished_at = SystemClock().Now().micros;
  slot.state = OperationState::kFailed;
}

Result<Json> RunKind(const std::string& kind, const OperationContext& context) {
  if (kind == "snapshot") return RunSnapshot(context);
  if (kind == "restore") return RunRestore(context);
  if (kind == "undo" || kind == "finalize") return RunUndo(context);
  if (kind == "undo_other" || kind == "finalize_other") return RunReturnOther(context);
  if (kind == "build") return RunBuildRestore(context);
  if (kind == "verify") return RunVerify(context);
  if (kind == "branch") return RunCreateBranch(context);
  if (kind == kLook) return RunLook(context);
  if (kind == "drill") return RunDrill(context);
  if (kind == kRecover) return RunRecover(context);
  if (kind == kRecoverTidy) return RunRecoverTidy(context);
  if (kind == "undelete") return RunUndelete(context);
  if (kind == kDump) return RunDump(context);
  if (kind == kRestoreDump) return RunRestoreDump(context);
  if (kind == "restore_other") return RunRestoreOther(context);
  if (kind == kRetention) return RunRetention(context);
  return Status(Code::kInternal, "unknown kind of operation \"" + kind + "\"");
}

// Of a completion only the end is recorded: it is begun anew by each life of the server.
Status RecordCompletion(const RunningOperation& operation) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<Repository> repo,
                        Repository::OpenAddress(CurrentSettings().repository, false));
  OperationRecord record = RecordOfSlot(operation.Copy());
  record.state = "done";
  record.finished_at = SystemClock().Now();
  return AppendOperation(repo.get(), record);
}

// Whoever waits for an operation writes of its failure; of one that nobody waits for (any more) nobody else will.
Status AuditFailure(Repository* repo, const RunningOperation& operation, const Status& status) {
  const bool is_cancelled = status.code() == Code::kCancelled;
  const Json request = operation.Request();
  const std::string function = request.value("function", std::string());
  if (function.empty() || (!is_cancelled && !operation.CallerGone())) return Status::Ok();
  const OperationSlot slot = operation.Copy();
  return AppendAudit(repo,
                     {SystemClock().Now(), request.value("role_name", std::string()),
                      request.value("client_addr", std::string()), slot.branch, function,
                      request.value("arguments", std::string()), slot.id,
                      is_cancelled ? "cancelled" : "failed", std::string(SqlState(status.code()))});
}

Result<Json> RunSlot(RunningOperation* operation) {
  if (operation->Copy().kind == std::string_view(kCompletion)) {
    PITR_ASSIGN_OR_RETURN(Json completed, RunCompletion(operation));
    const Status recorded = RecordCompletion(*operation);
    if (!recorded.ok()) LogStatus(WARNING, "could not record the end of a completion", recorded);
    return completed;
  }
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<Repository> repo,
                        Repository::OpenAddress(CurrentSettings().repository, false));
  PITR_ASSIGN_OR_RETURN(const Identity identity, EnsureIdentity(repo.get()));
  operation->SetPhase("start");
  const OperationSlot slot = operation->Copy();
  if (slot.kind != std::string_view("verify")) {
    PITR_RETURN_IF_ERROR(HoldLease(repo.get(), identity));
  }
  // A pass of retention is recorded when it did something.
  const bool is_retention = slot.kind == std::string_view(kRetention);
  if (!is_retention) PITR_RETURN_IF_ERROR(AppendOperation(repo.get(), RecordOfSlot(slot)));
  OperationContext context{repo.get(), &identity, operation, slot.id};
  Result<Json> result = RunKind(slot.kind, context);
  if (is_retention && result.ok() && !DidRetentionAct(*result)) return result;
  OperationRecord record = RecordOfSlot(operation->Copy());
  record.state = result.ok()                                  ? "done"
                 : result.status().code() == Code::kCancelled ? "cancelled"
                                                              : "failed";
  record.finished_at = SystemClock().Now();
  if (result.ok()) {
    record.result = DumpJson(*result);
  } else {
    record.error = result.status().message();
    record.sqlstate = SqlState(result.status().code());
  }
  Status written = AppendOperation(repo.get(), record);
  if (written.ok() && !result.ok()) written = AuditFailure(repo.get(), *operation, result.status());
  if (!written.ok()) LogStatus(WARNING, "could not record the end of an operation", written);
  return result;
}

}  // namespace

// What the child learned of one of several repositories, for all processes.
static void TakeMemberNote(const Json& note) {
  const Result<std::string> place = JsonText(note, "place");
  if (!place.ok()) return;
  const std::string what = note.value("what", "");
  if (what == "missed") {
    GetMemberLedger()->Missed(*place, note.value("name", ""),
                              note.value("bytes", std::uint64_t{0}));
  } else if (what == "failed") {
    GetMemberLedger()->Failed(*place, Status(Code::kUnavailable, note.value("message", "")));
  } else if (what == "damaged") {
    GetMemberLedger()->Damaged(*place, note.value("name", ""));
  }
}

// A child that has databases to drop must be waited for with an ear for the server: whoever drops one waits for every process to answer.
static Result<bool> EndsAtCancel(Child* child, const OperationSlot& slot, bool* told) {
  if (!slot.cancel || !IsRecovery(slot.kind)) return slot.cancel;
  Json line;
  line["cancel"] = true;
  if (!*told) PITR_RETURN_IF_ERROR(child->Send(line));
  *told = true;
  return false;
}

// What settings say now, for a child that heeds it while it works; the first time when there is a limit at all.
static Status SendLimits(Child* child, int* told_rate) {
  Call([] { PITR_MAIN_LOOP_INTERRUPTS(); });
  if (SnapshotReadRateSetting() == *told_rate) return Status::Ok();
  *told_rate = SnapshotReadRateSetting();
  Json line;
  line["limits"]["read_rate"] = std::uint64_t{1024} * static_cast<std::uint64_t>(*told_rate);
  return child->Send(line);
}

Result<Json> RunChild(const OperationContext& context, const Json& job,
                      const std::function<Result<Json>(const std::string& need)>& answer) {
  Child child;
  PITR_RETURN_IF_ERROR(child.Start(job));
  RunningOperation* operation = context.operation;
  int told_rate = 0;
  bool told_cancel = false;
  for (;;) {
    Status told;
    Result<Json> next = child.Next([&] {
      told = SendLimits(&child, &told_rate);
      if (!told.ok() || !operation->CancelRequested()) return !told.ok();
      const Result<bool> ends = EndsAtCancel(&child, operation->Copy(), &told_cancel);
      if (!ends.ok()) told = ends.status();
      return !ends.ok() || *ends;
    });
    PITR_RETURN_IF_ERROR(told);
    if (!next.ok()) return next;
    const Json line = *std::move(next);
    if (const Json* progress = JsonObject(line, "progress")) {
      Result<std::string> phase = JsonText(*progress, "phase");
      if (phase.ok()) operation->SetPhase(*phase);
      Result<std::uint64_t> done = JsonUint(*progress, "done"),
                            total = JsonUint(*progress, "total");
      if (done.ok() && total.ok()) operation->SetProgress(*done, *total);
      Result<std::string> replay = JsonText(*progress, "replay_lsn");
      Result<Lsn> lsn = replay.ok() ? Lsn::Parse(*replay) : Lsn{};
      if (lsn.ok()) operation->SetReplay(*lsn, {});
    } else if (const Json* error = JsonObject(line, "error")) {
      child.Finish();
      return StatusFromJson(*error);
    } else if (const Json* result = JsonObject(line, line.contains("built") ? "built" : "done")) {
      Json copy = *result;
      child.Finish();
      return copy;
    } else if (line.contains("need")) {
      PITR_ASSIGN_OR_RETURN(const std::string need, JsonText(line, "need"));
      PITR_ASSIGN_OR_RETURN(const Json reply, answer(need));
      PITR_RETURN_IF_ERROR(child.Send(reply));
    } else if (const Json* member = JsonObject(line, "member")) {
      TakeMemberNote(*member);
    } else if (line.contains("note")) {
      PITR_ASSIGN_OR_RETURN(const std::string note, JsonText(line, "note"));
      LogQuietly(LOG, note);
    } else if (line.contains("finding")) {
      PITR_ASSIGN_OR_RETURN(const Json ignored, answer(DumpJson(line)));
      (void)ignored;
    }
  }
}

// The worker's life after it is connected.
static void ServeSlot() {
  RunningOperation operation(my_slot);
  operation.SetPhase("start");
  const Result<Json> result = RunSlot(&operation);
  const OperationState state = result.ok() ? OperationState::kDone
                               : result.status().code() == Code::kCancelled
                                   ? OperationState::kCancelled
                                   : OperationState::kFailed;
  operation.End(state, result.ok() ? *result : Json::object(), result.status());
  my_slot = -1;  // the next operation may have it already
  if (!result.ok()) LogStatus(LOG, "pitr operation", result.status());
}

static void Connect(Datum argument) {
  Call([argument] {
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    my_slot = DatumGetInt32(argument);
    before_shmem_exit(OnWorkerExit, 0);
    BackgroundWorkerUnblockSignals();
    // No database: only shared catalogues (roles, subscriptions), so nothing is held that DROP DATABASE would wait for.
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  });
}

}  // namespace pitr::pg

PITR_WORKER(pitr_operation_main) {
  pitr::pg::Connect(argument);
  pitr::pg::ServeSlot();
  return pitr::Status::Ok();
}
