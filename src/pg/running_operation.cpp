// The worker's side of an operation: state, progress and result into its slot.
#include <algorithm>
#include <cstring>

#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/operation.h"
#include "pg/operation_slots.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "storage/proc.h"
#include "storage/procarray.h"
}

namespace pitr::pg {

OperationSlot RunningOperation::Copy() const {
  const LockedSlots locked;
  return locked.slots()[slot_];
}

Json RunningOperation::Request() const {
  const OperationSlot slot = Copy();
  Result<Json> json = ParseJson({slot.request, slot.request_size}, "request of the operation");
  return json.ok() ? *json : Json::object();
}

void RunningOperation::SetPhase(std::string_view phase) {
  const LockedSlots locked;
  OperationSlot& slot = locked.slots()[slot_];
  CopyText(phase, slot.phase, sizeof slot.phase);
  slot.worker_pid = MyProcPid;
  if (slot.state == OperationState::kQueued) slot.state = OperationState::kRunning;
}

void RunningOperation::SetProgress(std::uint64_t done, std::uint64_t total) {
  const LockedSlots locked;
  locked.slots()[slot_].bytes_done = done;
  locked.slots()[slot_].bytes_total = total;
}

void RunningOperation::SetReplay(Lsn replay, Lsn target) {
  const LockedSlots locked;
  if (replay.valid()) locked.slots()[slot_].replay_lsn = replay.value;
  if (target.valid()) locked.slots()[slot_].target_lsn = target.value;
}

bool RunningOperation::CancelRequested() const {
  const LockedSlots locked;
  return locked.slots()[slot_].cancel;
}

bool RunningOperation::ForbidCancel() {
  const LockedSlots locked;
  OperationSlot& slot = locked.slots()[slot_];
  if (slot.cancel) return false;
  slot.state = OperationState::kExchanging;
  return true;
}

void RunningOperation::PublishExchanging(const Json& result) {
  const std::string text = DumpJson(result);
  std::int32_t caller = 0;
  {
    const LockedSlots locked;
    OperationSlot& slot = locked.slots()[slot_];
    slot.result_size = static_cast<std::uint32_t>(std::min(text.size(), sizeof slot.result));
    std::memcpy(slot.result, text.data(), slot.result_size);
    CopyText(std::string_view("exchange"), slot.phase, sizeof slot.phase);
    slot.state = OperationState::kExchanging;
    caller = slot.caller_pid;
  }
  WakePid(caller);
}

bool RunningOperation::CallerCommitted() const {
  const LockedSlots locked;
  return locked.slots()[slot_].caller_committed;
}

std::int32_t RunningOperation::CallerPid() const {
  const LockedSlots locked;
  return locked.slots()[slot_].caller_pid;
}

bool RunningOperation::CallerGone() const {
  const std::int32_t caller = CallerPid();
  return caller == 0 || Call([caller] { return BackendPidGetProc(caller) == nullptr; });
}

void RunningOperation::End(OperationState state, const Json& result, const Status& error) {
  const std::string text = DumpJson(result);
  const std::int64_t now = SystemClock().Now().micros;
  std::int32_t caller = 0;
  {
    const LockedSlots locked;
    OperationSlot& slot = locked.slots()[slot_];
    slot.result_size = static_cast<std::uint32_t>(std::min(text.size(), sizeof slot.result));
    std::memcpy(slot.result, text.data(), slot.result_size);
    if (!error.ok()) {
      CopyText(SqlState(error.code()), slot.sqlstate, sizeof slot.sqlstate);
      CopyText(error.message(), slot.error, sizeof slot.error);
      CopyText(error.detail(), slot.detail, sizeof slot.detail);
      CopyText(error.hint(), slot.hint, sizeof slot.hint);
    }
    slot.finished_at = now;
    slot.worker_pid = 0;
    slot.state = state;
    caller = slot.caller_pid;
  }
  WakePid(caller);
}

}  // namespace pitr::pg
