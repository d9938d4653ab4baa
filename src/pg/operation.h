// Operations: the session's side (start, wait, cancel) and the worker's side (state, progress, result) of a slot.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/repo/records.h"
#include "core/repo/repository.h"
#include "pg/operation_state.h"

namespace pitr::pg {

struct NewOperation {
  std::string id;    // empty: a new one
  std::string kind;  // as in RunKind (operation_worker.cpp), or complete
  std::string branch, branch_id;
  Json request;
  bool wait = true;
  std::string role_name;
};

// Session: takes a slot and starts the worker. One operation at a time: another one that still runs after
// pitr.operation_lock_timeout is kLockTimeout naming it. No free worker slot is kLimit with a hint. THROWS ErrorInFlight.
Result<std::string> StartOperation(const NewOperation& operation);

// The same from the launcher: nothing is waited for, a running operation is kLockTimeout.
Result<std::string> StartOperationNow(const NewOperation& operation);

// A copy of the slot when it exists.
std::optional<OperationSlot> FindOperation(const std::string& id);
std::vector<OperationSlot> AllOperations();

// Session: waits until the operation is over, or (`stop_at_exchange`) ready to cut sessions. A cancelled or interrupted wait asks
// the operation to cancel, waits at most a second for that, and continues with the interrupt. THROWS ErrorInFlight.
Result<OperationSlot> WaitForOperation(const std::string& id, bool cancel_with_me,
                                       bool stop_at_exchange,
                                       std::optional<std::int64_t> timeout_micros = std::nullopt);
// The caller has what it wanted: the slot may be used again.
void ReleaseOperation(const std::string& id);
// True when it will be honoured.
Result<bool> RequestCancel(const std::string& id);
// The statement that called the restore commits: the worker may cut sessions once its row is out. Registered by the restore
// functions for the current transaction.
void ReleaseSessionsAtCommit(const std::string& id);

std::string StateName(OperationState state);
// The error of a failed or cancelled operation.
Status StatusOfSlot(const OperationSlot& slot);
Json ResultOfSlot(const OperationSlot& slot);
OperationRecord RecordOfSlot(const OperationSlot& slot);

// The worker's own slot.
class RunningOperation {
 public:
  explicit RunningOperation(int slot) : slot_(slot) {}
  OperationSlot Copy() const;
  Json Request() const;
  void SetPhase(std::string_view phase);
  void SetProgress(std::uint64_t done, std::uint64_t total);
  void SetReplay(Lsn replay, Lsn target);
  bool CancelRequested() const;
  // From here on a cancel is refused (sessions are about to be cut). False when one was asked for already.
  bool ForbidCancel();
  void PublishExchanging(const Json& result);
  bool CallerGone() const;  // nobody waits any more
  bool CallerCommitted() const;
  std::int32_t CallerPid() const;
  void End(OperationState state, const Json& result, const Status& error);

 private:
  int slot_;
};

// What servers of branches shall run has changed: the launcher looks.
void TellOfComputes();

// Session: names and directories of an earlier exchange are still changing hands while its intent is there; waits for that,
// pitr.operation_lock_timeout at most (kLockTimeout). THROWS ErrorInFlight.
Status WaitForFinishedExchange();

// Ship requests (launcher): raises what is wanted to the flush position of now and waits until the repository has it.
Status RequestShip(std::int64_t timeout_ms, const RunningOperation* operation = nullptr);

}  // namespace pitr::pg
