#include "pg/operation.h"
#include "core/base/json.h"

#include <cstring>

#include "pg/boundary.h"
#include "pg/completion.h"
#include "pg/error_map.h"
#include "pg/exchange_worker.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/operation_slots.h"
#include "pg/recover_keeper.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/tail.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

void WakePid(std::int32_t pid) {
  if (pid == 0) return;
  Call([pid] {
    PGPROC* process = BackendPidGetProc(pid);
    if (process != nullptr) SetLatch(&process->procLatch);
  });
}

void NapOnLatch(long milliseconds) {
  Call([milliseconds] {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  });
}

namespace {

bool IsOver(const OperationSlot& slot) {
  return slot.state == OperationState::kDone || slot.state == OperationState::kFailed ||
         slot.state == OperationState::kCancelled;
}
bool IsFree(const OperationSlot& slot) {
  return slot.state == OperationState::kFree || (IsOver(slot) && slot.caller_pid == 0);
}

int FindSlot(const OperationSlot* slots, const std::string& id) {
  for (int i = 0; i < kOperationSlots; i++) {
    if (slots[i].state != OperationState::kFree && id == slots[i].id) return i;
  }
  return -1;
}

// Fills a slot, or says what is in the way.
struct SlotOutcome {
  int slot = -1;
  std::string busy_id, busy_kind;
};

// Its sessions end when it succeeds, those of programs that copy a database among them.
bool EndsThisServer(std::string_view kind) {
  return kind == "restore" || kind == "undo" || kind == "finalize";
}

bool IsOfDumps(std::string_view kind) { return kind == kDump || kind == kRestoreDump; }

// Completion goes on beside the others, so does the recovery of a database as far as it can, looks are in nobody's way, and dumps, which read a server of the past, in that
// of dumps alone.
bool AreInEachOthersWay(const char* running, const std::string& wanted) {
  if (running == std::string_view(kLook) || wanted == kLook) return false;
  if (IsOfDumps(running) || IsOfDumps(wanted)) return IsOfDumps(running) && IsOfDumps(wanted);
  if (IsRecovery(running)) return IsRecovery(wanted) || EndsThisServer(wanted);
  if (IsRecovery(wanted)) return EndsThisServer(running);
  return (running == std::string_view(kCompletion)) == (wanted == kCompletion);
}

SlotOutcome TakeSlot(const NewOperation& operation, const std::string& id,
                     const std::string& request) {
  const std::int64_t now = SystemClock().Now().micros;
  SlotOutcome outcome;
  const LockedSlots locked;
  OperationSlot* slots = locked.slots();
  for (int i = 0; i < kOperationSlots; i++) {
    if (slots[i].state != OperationState::kFree && !IsOver(slots[i]) &&
        AreInEachOthersWay(slots[i].kind, operation.kind)) {
      outcome.slot = -1;
      outcome.busy_id = slots[i].id;
      outcome.busy_kind = slots[i].kind;
      return outcome;
    }
    if (IsFree(slots[i])) outcome.slot = i;
  }
  if (outcome.slot < 0) {
    outcome.busy_kind = "finished";
    return outcome;
  }
  OperationSlot& slot = slots[outcome.slot];
  std::memset(&slot, 0, sizeof slot);
  CopyText(id, slot.id, sizeof slot.id);
  CopyText(operation.kind, slot.kind, sizeof slot.kind);
  CopyText(operation.branch, slot.branch, sizeof slot.branch);
  CopyText(operation.branch_id, slot.branch_id, sizeof slot.branch_id);
  CopyText(operation.role_name, slot.role_name, sizeof slot.role_name);
  CopyText(std::string_view("queued"), slot.phase, sizeof slot.phase);
  slot.caller_pid = operation.wait ? MyProcPid : 0;
  slot.started_at = now;
  slot.request_size = static_cast<std::uint32_t>(request.size());
  std::memcpy(slot.request, request.data(), request.size());
  slot.state = OperationState::kQueued;
  return outcome;
}

bool LaunchWorker(int slot) {
  return Call([slot] {
    BackgroundWorker worker;
    std::memset(&worker, 0, sizeof worker);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_ConsistentState;
    // Never restarted, forgotten by a crash cycle: an exchange must not run it again in the restored server (internals 22).
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    strlcpy(worker.bgw_library_name, "pitr_ext", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, "pitr_operation_main", sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_name, "pitr operation worker", sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, "pitr operation worker", sizeof worker.bgw_type);
    worker.bgw_main_arg = Int32GetDatum(slot);
    return RegisterDynamicBackgroundWorker(&worker, nullptr);
  });
}

Result<std::string> TryStart(const NewOperation& operation, const std::string& id,
                             const std::string& request, SlotOutcome* outcome) {
  *outcome = TakeSlot(operation, id, request);
  if (outcome->slot < 0) {
    return Status(Code::kLockTimeout, "operation \"" + outcome->busy_id + "\" (" +
                                          outcome->busy_kind + ") is still running")
        .WithHint("Wait for it with pitr_wait_operation, or end it with pitr_cancel_operation.");
  }
  if (!LaunchWorker(outcome->slot)) {
    const LockedSlots locked;
    locked.slots()[outcome->slot].state = OperationState::kFree;
    return Status(Code::kLimit, "no background worker is free for the operation")
        .WithHint("Raise max_worker_processes; pitr_check() shows how many are needed.");
  }
  return id;
}

Result<std::string> IdOf(const NewOperation& operation) {
  if (!operation.id.empty()) return operation.id;
  return NewOperationId(SystemClock().Now().micros / 1000000);
}

Result<std::string> RequestText(const NewOperation& operation) {
  std::string text = DumpJson(operation.request);
  if (text.size() > sizeof(OperationSlot{}.request)) {
    return Status(Code::kLimit, "the arguments of the operation are longer than " +
                                    std::to_string(sizeof(OperationSlot{}.request)) + " bytes");
  }
  return text;
}

}  // namespace

Result<std::string> StartOperationNow(const NewOperation& operation) {
  PITR_ASSIGN_OR_RETURN(const std::string id, IdOf(operation));
  PITR_ASSIGN_OR_RETURN(const std::string request, RequestText(operation));
  SlotOutcome outcome;
  return TryStart(operation, id, request, &outcome);
}

Result<std::string> StartOperation(const NewOperation& operation) {
  PITR_ASSIGN_OR_RETURN(const std::string id, IdOf(operation));
  PITR_ASSIGN_OR_RETURN(const std::string request, RequestText(operation));
  const std::int64_t give_up =
      SystemClock().MonotonicMillis() + CurrentSettings().operation_lock_timeout_ms;
  for (;;) {
    SlotOutcome outcome;
    Result<std::string> started = TryStart(operation, id, request, &outcome);
    if (started.ok() || started.status().code() != Code::kLockTimeout ||
        SystemClock().MonotonicMillis() >= give_up) {
      return started;
    }
    NapOnLatch(50);
    CheckInterrupts();
  }
}

std::optional<OperationSlot> FindOperation(const std::string& id) {
  const LockedSlots locked;
  const int i = FindSlot(locked.slots(), id);
  if (i < 0) return std::nullopt;
  return locked.slots()[i];
}

std::vector<OperationSlot> AllOperations() {
  std::vector<OperationSlot> all;
  all.reserve(kOperationSlots);
  const LockedSlots locked;
  for (int i = 0; i < kOperationSlots; i++) {
    if (locked.slots()[i].state != OperationState::kFree) all.push_back(locked.slots()[i]);
  }
  return all;
}

Result<bool> RequestCancel(const std::string& id) {
  std::int32_t worker = 0;
  {
    const LockedSlots locked;
    const int i = FindSlot(locked.slots(), id);
    if (i < 0) return Status(Code::kNotFound, "operation \"" + id + "\" is not running");
    OperationSlot& slot = locked.slots()[i];
    // A completion would only be begun again: pitr.fill_rate is how it is slowed.
    const bool is_completion = slot.kind == std::string_view(kCompletion);
    if (IsOver(slot) || slot.state == OperationState::kExchanging || is_completion) return false;
    slot.cancel = true;
    worker = slot.worker_pid;
  }
  WakePid(worker);
  return true;
}

void ReleaseOperation(const std::string& id) {
  const LockedSlots locked;
  const int i = FindSlot(locked.slots(), id);
  if (i >= 0 && locked.slots()[i].caller_pid == MyProcPid) locked.slots()[i].caller_pid = 0;
}

namespace {

// Nobody else can cancel an operation that is about to exchange, but the statement that asked for it has not committed: until
// then the worker waits for it.
void WithdrawRequest(const std::string& id) {
  const LockedSlots locked;
  const int i = FindSlot(locked.slots(), id);
  if (i >= 0 && locked.slots()[i].caller_pid == MyProcPid) locked.slots()[i].cancel = true;
}

// The caller was interrupted: the operation is cancelled, and a second is given to it to do so.
void CancelForInterrupt(const std::string& id) {
  const Result<bool> cancelled = RequestCancel(id);
  if (cancelled.ok() && !*cancelled) WithdrawRequest(id);
  for (int i = 0; cancelled.ok() && i < 18; i++) {
    const std::optional<OperationSlot> slot = FindOperation(id);
    if (!slot || IsOver(*slot)) break;
    NapOnLatch(50);
  }
  ReleaseOperation(id);
}

}  // namespace

Result<OperationSlot> WaitForOperation(const std::string& id, bool cancel_with_me,
                                       bool stop_at_exchange,
                                       std::optional<std::int64_t> timeout_micros) {
  const std::int64_t started = SystemClock().MonotonicMillis();
  for (;;) {
    const std::optional<OperationSlot> slot = FindOperation(id);
    if (!slot) return Status(Code::kNotFound, "operation \"" + id + "\" is not running");
    // kExchanging alone says that a cancel comes too late; the row is there once it is published.
    const bool ready =
        stop_at_exchange && slot->state == OperationState::kExchanging && slot->result_size > 0;
    const bool late =
        timeout_micros && (SystemClock().MonotonicMillis() - started) * 1000 >= *timeout_micros;
    if (IsOver(*slot) || ready || late) return *slot;
    // Not every interrupt ends the statement: statistics after ten seconds, barriers of other sessions' DROP DATABASE, requests
    // to log memory are served by the check below, and the operation goes on.
    if (cancel_with_me && ServerCancel().IsCancelled()) CancelForInterrupt(id);
    CheckInterrupts();
    NapOnLatch(50);
  }
}

namespace {

constinit char committing_operation[64] = {};
constinit bool callback_registered = false;

void AtTransactionEnd(XactEvent event, void*) {
  if (committing_operation[0] == '\0') return;
  if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT) return;
  OperationsShared& shared = GetShared()->operations;
  LWLockAcquire(OperationsLock(), LW_EXCLUSIVE);
  for (OperationSlot& slot : shared.slots) {
    if (std::strcmp(slot.id, committing_operation) != 0) continue;
    if (event == XACT_EVENT_COMMIT) {
      slot.caller_committed = true;
    } else {
      slot.cancel = true;
    }
  }
  LWLockRelease(OperationsLock());
  committing_operation[0] = '\0';
}

}  // namespace

void ReleaseSessionsAtCommit(const std::string& id) {
  if (!callback_registered) {
    Call([] { RegisterXactCallback(AtTransactionEnd, nullptr); });
    callback_registered = true;
  }
  CopyText(id, committing_operation, sizeof committing_operation);
}

void TellOfComputes() {
  std::uint64_t latch = 0;
  {
    const LockedSlots locked;
    GetShared()->operations.computes_changed++;
    latch = GetShared()->operations.launcher_latch;
  }
  if (latch != 0) SetLatch(reinterpret_cast<Latch*>(latch));
}

std::string StateName(OperationState state) {
  switch (state) {
    case OperationState::kFree:
      return "free";
    case OperationState::kQueued:
      return "queued";
    case OperationState::kRunning:
    case OperationState::kExchanging:
      return "running";
    case OperationState::kDone:
      return "done";
    case OperationState::kFailed:
      return "failed";
    case OperationState::kCancelled:
      return "cancelled";
  }
  return "";
}

Status StatusOfSlot(const OperationSlot& slot) {
  Json error;
  error["sqlstate"] = slot.sqlstate;
  error["message"] = slot.error;
  error["detail"] = slot.detail;
  error["hint"] = slot.hint;
  Status status(Code::kInternal, slot.error);
  for (int i = 1; i <= static_cast<int>(Code::kInternal); i++) {
    if (SqlState(static_cast<Code>(i)) == slot.sqlstate)
      status = Status(static_cast<Code>(i), slot.error);
    if (SqlState(static_cast<Code>(i)) == slot.sqlstate) break;
  }
  return std::move(status).WithDetail(slot.detail).WithHint(slot.hint);
}

Json ResultOfSlot(const OperationSlot& slot) {
  Result<Json> json = ParseJson({slot.result, slot.result_size}, "result of the operation");
  return json.ok() ? *json : Json::object();
}

OperationRecord RecordOfSlot(const OperationSlot& slot) {
  OperationRecord record;
  record.id = slot.id;
  record.kind = slot.kind;
  record.branch = slot.branch;
  record.branch_id = slot.branch_id;
  record.state = StateName(slot.state);
  record.phase = slot.phase;
  record.role_name = slot.role_name;
  record.error = slot.error;
  record.sqlstate = slot.sqlstate;
  record.bytes_done = slot.bytes_done;
  record.bytes_total = slot.bytes_total;
  record.replay_lsn = {slot.replay_lsn};
  record.target_lsn = {slot.target_lsn};
  record.started_at = {slot.started_at};
  if (slot.finished_at != 0) record.finished_at = Timestamp{slot.finished_at};
  record.result.assign(slot.result, slot.result_size);
  return record;
}

Status WaitForFinishedExchange() {
  PITR_RETURN_IF_ERROR(RequireShared());
  const std::int64_t give_up =
      SystemClock().MonotonicMillis() + CurrentSettings().operation_lock_timeout_ms;
  for (;;) {
    const Status pending = CheckNoExchangePending();
    if (pending.code() != Code::kLockTimeout || SystemClock().MonotonicMillis() >= give_up)
      return pending;
    // A running operation of this life of the server is waited for by StartOperation, which can name it.
    for (const OperationSlot& slot : AllOperations()) {
      if (slot.state == OperationState::kExchanging) return Status::Ok();
    }
    NapOnLatch(20);
    CheckInterrupts();
  }
}

namespace {
constexpr std::int64_t kFailingShipMillis = 5000;
}  // namespace

Status RequestShip(std::int64_t timeout_ms, const RunningOperation* operation) {
  const Lsn wanted = FlushLsn();
  OperationsShared& shared = GetShared()->operations;
  const std::int64_t asked_at = SystemClock().Now().micros;
  {
    const LockedSlots locked;
    shared.ship_wanted = std::max(shared.ship_wanted, wanted.value);
  }
  WakeTailShipper();
  const std::int64_t began = SystemClock().MonotonicMillis();
  for (;;) {
    std::string error;
    bool tried = false;
    {
      const LockedSlots locked;
      if (shared.ship_done >= wanted.value) return Status::Ok();
      tried = shared.ship_tried_at > asked_at;
      error = shared.ship_error;
    }
    if (operation != nullptr && operation->CancelRequested()) {
      return Status(Code::kCancelled, "the operation was cancelled");
    }
    // A backlog takes its time; a repository that refuses is worth one more try, and nobody is kept waiting longer.
    const std::int64_t waited = SystemClock().MonotonicMillis() - began;
    if (waited >=
        (tried && !error.empty() ? std::min(timeout_ms, kFailingShipMillis) : timeout_ms)) {
      return Status(Code::kIo, "the newest WAL could not be brought into the repository")
          .WithDetail(tried && !error.empty() ? error : "The tail shipper did not answer in time.");
    }
    NapOnLatch(20);
    CheckInterrupts();
  }
}

}  // namespace pitr::pg
