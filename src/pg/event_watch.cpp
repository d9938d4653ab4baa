#include "pg/event_watch.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "pg/archive_drop.h"
#include "pg/archive_report.h"
#include "pg/branch_room.h"
#include "pg/operation.h"
#include "pg/repositories.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// What is over before nobody is called for.
constexpr std::int64_t kLastsMs = 3000;

Status CheckArchive() {
  if (!IsArchiveFailing()) return Status::Ok();
  return Status(Code::kUnavailable, "archiving fails: " + ReadArchiveCounters().last_error)
      .WithHint("WAL is kept until it works again; pg_wal grows meanwhile.");
}

Status CheckRoom() {
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  return PathExists(place) ? CheckBranchRoom(place) : Status::Ok();
}

}  // namespace

EventWatch::EventWatch()
    : states_({{"archive_failing", "archive_recovered", "error", CheckArchive},
               {"wal_let_go", "wal_gap_recorded", "error", ProblemOfGaps},
               {"repository_down", "repository_recovered", "warning", ProblemOfRepositories},
               {"disk_filling", "disk_recovered", "warning", CheckDisks},
               {"disk_full", "disk_has_room", "error", CheckRoom}}) {}

void EventWatch::Look(State* state, const std::string& branch) {
  const Status found = state->check();
  const std::int64_t now = SystemClock().MonotonicMillis();
  if (found.ok()) {
    if (state->is_told) sender_.Send({state->good, branch, "info", "it is over", "", ""});
    state->since_ms = 0;
    state->is_told = false;
    return;
  }
  if (state->since_ms == 0) state->since_ms = now;
  if (state->is_told || now - state->since_ms < kLastsMs) return;
  state->is_told = true;
  sender_.Send({state->bad, branch, state->severity, found.message(), found.hint(), ""});
}

void EventWatch::LookAtOperations() {
  std::set<std::string> ended;
  for (const OperationSlot& slot : AllOperations()) {
    if (slot.finished_at == 0 || slot.kind == std::string_view(kLook)) continue;
    ended.insert(slot.id);
    if (!has_looked_ || ended_.contains(slot.id) || slot.state != OperationState::kFailed) continue;
    const OperationRecord record = RecordOfSlot(slot);
    sender_.Send({"operation_failed", record.branch, "error",
                  record.kind + " of branch \"" + record.branch + "\" failed: " + record.error,
                  slot.hint, record.id});
  }
  ended_ = std::move(ended);
  has_looked_ = true;
}

void EventWatch::Tick(const std::string& branch) {
  for (State& state : states_)
    Look(&state, branch);
  LookAtOperations();
  sender_.Tick();
}

}  // namespace pitr::pg
