#include "pg/schedule_keeper.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/plan/schedule_due.h"
#include "core/plan/schedule_item.h"
#include "core/repo/records.h"
#include "core/repo/schedules.h"
#include "pg/demand.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/operation_slots.h"
#include "pg/schedule_clock.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kReadMs = 30'000;
// Who has not looked for so long cannot say that a time was waited for.
constexpr std::int64_t kStandstill = 60 * 1000000LL;
constexpr std::size_t kRecords = 200;
constexpr std::size_t kBranchInName = 200;

struct Watched {
  Schedule schedule;
  ScheduleItem item;
  ServerZone zone;
  std::optional<Timestamp> next;  // behind what was served last
};

struct KeeperState {
  std::vector<Watched> watched;  // of this server's branch
  std::string branch;            // its name
  bool is_read = false;
  std::int64_t read_at_ms = 0;
  std::uint32_t seen_change = 0;
  Timestamp looked_at, looking_since;
  std::set<std::string> refused;  // that cannot be followed
  StateLog log{"pitr schedules"};
};

// Of the launcher alone; never destroyed, so that nothing is registered for the end of the process.
constinit KeeperState* state = nullptr;

std::uint32_t CountOfChanges() {
  const LockedSlots locked;
  return GetShared()->operations.computes_changed;
}

void NoteLook(Timestamp now) {
  if (now < state->looked_at || now.micros > state->looked_at.micros + kStandstill) {
    state->looking_since = now;
  }
  state->looked_at = now;
}

// Schedules that came along with the branch's name, and due times of a clock that was wrong.
Status PutInOrder(Repository* repo, const BranchSet& branches, const BranchId& self, Timestamp now,
                  ScheduleSet* set) {
  const auto is_in_order = [&](const Schedule& schedule) {
    return HolderOf(branches, schedule.branch) != self ||
           (schedule.branch == self && ServedByClock(schedule.served, now) == schedule.served);
  };
  if (std::all_of(set->schedules.begin(), set->schedules.end(), is_in_order)) return Status::Ok();
  return UpdateSchedules(repo, [&](ScheduleSet* changed) {
    for (Schedule& schedule : changed->schedules) {
      if (is_in_order(schedule)) continue;
      schedule.branch = self;
      schedule.served = ServedByClock(schedule.served, now);
    }
    *set = *changed;
    return Status::Ok();
  });
}

// nullopt, and one line in the log: one of a later version perhaps.
std::optional<Watched> Watch(const Schedule& schedule) {
  Result<ScheduleItem> item = ParseScheduleItem(schedule.item);
  const Result<ServerZone> zone = ServerZone::Find(schedule.timezone);
  const Status status = item.ok() ? zone.status() : item.status();
  if (!status.ok()) {
    if (state->refused.insert(schedule.id).second) {
      LogStatus(WARNING, "schedule \"" + schedule.id + "\" cannot be followed", status);
    }
    return std::nullopt;
  }
  const std::optional<Timestamp> next = item->rule.Next(schedule.served, *zone);
  return Watched{schedule, *std::move(item), *zone, next};
}

Status ReadAnew(Repository* repo, const Identity& identity, Timestamp now) {
  const std::uint32_t change = CountOfChanges();
  const std::int64_t now_ms = SystemClock().MonotonicMillis();
  if (state->is_read && change == state->seen_change && now_ms < state->read_at_ms + kReadMs) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(ScheduleSet set, ReadSchedules(repo));
  std::vector<Watched> watched;
  if (!set.schedules.empty()) {
    PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
    const Branch* self = branches.FindId(identity.branch_id);
    if (self != nullptr) state->branch = self->name;
    PITR_RETURN_IF_ERROR(PutInOrder(repo, branches, identity.branch_id, now, &set));
    for (const Schedule& schedule : set.schedules) {
      if (schedule.branch != identity.branch_id || schedule.kind != "snapshot") continue;
      if (std::optional<Watched> one = Watch(schedule)) watched.push_back(*std::move(one));
    }
  }
  state->watched = std::move(watched);
  state->is_read = true;
  state->read_at_ms = now_ms;
  state->seen_change = change;
  return Status::Ok();
}

bool IsOver(const OperationRecord& record) {
  return record.state == "done" || record.state == "failed" || record.state == "cancelled";
}

// From memory, or from what was written before it went. nullopt: it never began.
Result<std::optional<OperationRecord>> FindRecord(Repository* repo, const OperationId& id) {
  if (const std::optional<OperationSlot> slot = FindOperation(id)) {
    return std::optional(RecordOfSlot(*slot));
  }
  PITR_ASSIGN_OR_RETURN(std::vector<OperationRecord> records, ReadOperations(repo, kRecords));
  for (OperationRecord& record : records) {
    if (record.id == id) return std::optional(std::move(record));
  }
  return std::optional<OperationRecord>();
}

std::string NameFor(Timestamp due) {
  return "sched_" + CutCodePoints(state->branch, kBranchInName) + "_" + FormatTime(due, 0);
}

bool IsOf(const Watched& watched, const OperationId& id) {
  return watched.schedule.run && watched.schedule.run->operation == id;
}

// One snapshot for all that are due: it is kept as long as the longest of them wants, and taken if one of them wants it in any case.
Json RequestFor(const OperationId& id, Timestamp now) {
  Timestamp due;
  bool is_active_only = true, is_for_ever = false;
  std::int64_t retention = 0;
  for (const Watched& watched : state->watched) {
    if (!IsOf(watched, id)) continue;
    due = std::max(due, watched.schedule.run->due);
    is_active_only = is_active_only && watched.item.is_active_only;
    is_for_ever = is_for_ever || !watched.item.retention_seconds;
    retention = std::max(retention, watched.item.retention_seconds.value_or(0));
  }
  Json request;
  request["name"] = NameFor(due);
  request["origin"] = "schedule";
  request["expires_at"] = nullptr;
  if (!is_for_ever) request["expires_at"] = FormatTime({now.micros + retention * 1000000});
  request["active_only"] = is_active_only;
  return request;
}

// REQUIRES: the catalogue has the run. An operation that is in the way is waited for: the next look begins it.
Status Begin(const Identity& identity, const OperationId& id, Timestamp now) {
  NewOperation operation;
  operation.id = id;
  operation.kind = "snapshot";
  operation.branch = state->branch;
  operation.branch_id = identity.branch_id;
  operation.request = RequestFor(id, now);
  operation.wait = false;
  const Status started = StartOperationNow(operation).status();
  if (started.code() == Code::kLockTimeout) return Status::Ok();
  PITR_RETURN_IF_ERROR(started);
  LogQuietly(LOG, "pitr_ext: scheduled snapshot \"" + operation.request["name"].get<std::string>() +
                      "\" of branch \"" + state->branch + "\" begins");
  PITR_FAULT("schedule.started");
  return Status::Ok();
}

RunOutcome OutcomeOf(const OperationRecord& record, const std::string& name) {
  RunOutcome outcome;
  outcome.is_done = record.state == "done";
  outcome.name = name;
  if (!outcome.is_done) {
    outcome.is_interrupted = record.sqlstate == "57P01";
    outcome.detail = record.error.empty() ? record.state : record.error;
    return outcome;
  }
  const Result<Json> result = ParseJson(record.result, "result of an operation");
  const Json answer = result.ok() ? *result : Json::object();
  outcome.is_skipped = answer.contains("skipped");
  outcome.detail = answer.value(outcome.is_skipped ? "skipped" : "snapshot_id", std::string());
  return outcome;
}

void TellOf(const RunOutcome& outcome, std::int64_t failures) {
  const std::string what =
      "scheduled snapshot \"" + outcome.name + "\" of branch \"" + state->branch + "\"";
  if (!outcome.is_done) {
    const std::int64_t pause = RetryPauseMicros(failures) / 1000000;
    LogQuietly(WARNING, what + " failed: " + outcome.detail,
               outcome.is_interrupted ? std::string()
                                      : "It is tried again in " + std::to_string(pause) + " s.");
  } else if (outcome.is_skipped) {
    LogQuietly(LOG, "pitr_ext: " + what + " is skipped: " + outcome.detail);
  }
}

// The operation has ended: what became of it is written down.
Status End(Repository* repo, const OperationRecord& record, Timestamp now) {
  Timestamp due;
  std::int64_t failures = 0;
  for (const Watched& watched : state->watched) {
    if (!IsOf(watched, record.id)) continue;
    due = std::max(due, watched.schedule.run->due);
    failures = std::max(failures, watched.schedule.run->failures);
  }
  const RunOutcome outcome = OutcomeOf(record, NameFor(due));
  PITR_FAULT("schedule.before_outcome");
  PITR_RETURN_IF_ERROR(UpdateSchedules(repo, [&](ScheduleSet* set) {
    bool is_first = true;
    for (Schedule& schedule : set->schedules) {
      if (!schedule.run || schedule.run->operation != record.id) continue;
      const std::size_t skipped = set->skipped.size();
      EndRun(set, &schedule, outcome, now, RetryPauseMicros(schedule.run->failures + 1));
      // One row for one snapshot, whoever wanted it.
      if (!is_first && set->skipped.size() > skipped) set->skipped.pop_back();
      is_first = false;
    }
    return Status::Ok();
  }));
  TellOf(outcome, failures + 1);
  state->is_read = false;
  return Status::Ok();
}

// The run that is under way, if there is one.
Status Follow(Repository* repo, const Identity& identity, Timestamp now, bool* is_under_way) {
  const auto found =
      std::find_if(state->watched.begin(), state->watched.end(), [](const Watched& watched) {
        return watched.schedule.run && !watched.schedule.run->operation.empty();
      });
  *is_under_way = found != state->watched.end();
  if (!*is_under_way) return Status::Ok();
  const OperationId id = found->schedule.run->operation;
  PITR_ASSIGN_OR_RETURN(const std::optional<OperationRecord> record, FindRecord(repo, id));
  if (!record) return Begin(identity, id, now);
  return IsOver(*record) ? End(repo, *record, now) : Status::Ok();
}

struct DueSchedule {
  std::string id;
  ScheduleRun run;
};

std::vector<DueSchedule> FindDue(Timestamp now) {
  std::vector<DueSchedule> all;
  for (const Watched& watched : state->watched) {
    if (!watched.next || *watched.next > now) continue;
    const std::optional<DueTime> due =
        DueAt(watched.item.rule, watched.zone, watched.schedule.served, now, state->looking_since);
    if (!due) continue;
    DueSchedule one = {watched.schedule.id, {}};
    one.run.due = due->due;
    one.run.is_made_up = due->is_made_up;
    // A later time begins anew, whatever became of the one before.
    const std::optional<ScheduleRun>& before = watched.schedule.run;
    if (before && before->due == due->due) {
      if (now < before->retry_at && before->retry_at.micros <= now.micros + RetryPauseMicros(100)) {
        continue;
      }
      one.run.failures = before->failures;
      one.run.is_made_up = before->is_made_up;
    }
    all.push_back(std::move(one));
  }
  return all;
}

bool IsOperationRunning() {
  const std::vector<OperationSlot> slots = AllOperations();
  return std::any_of(slots.begin(), slots.end(), [](const OperationSlot& slot) {
    return slot.finished_at == 0 && slot.kind != std::string_view(kLook);
  });
}

Status BeginDue(Repository* repo, const Identity& identity, Timestamp now) {
  const std::vector<DueSchedule> due = FindDue(now);
  if (due.empty() || IsOperationRunning()) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const OperationId id, NewOperationId(SystemClock().Now().micros / 1000000));
  PITR_FAULT("schedule.before_record");
  PITR_RETURN_IF_ERROR(UpdateSchedules(repo, [&](ScheduleSet* set) {
    for (const DueSchedule& one : due) {
      Schedule* schedule = set->Find(one.id);
      if (schedule == nullptr) continue;  // deleted meanwhile
      schedule->run = one.run;
      schedule->run->operation = id;
    }
    return Status::Ok();
  }));
  PITR_FAULT("schedule.recorded");
  state->is_read = false;
  PITR_RETURN_IF_ERROR(ReadAnew(repo, identity, now));
  const bool is_there = std::any_of(state->watched.begin(), state->watched.end(),
                                    [&](const Watched& watched) { return IsOf(watched, id); });
  return is_there ? Begin(identity, id, now) : Status::Ok();
}

Status Look(Repository* repo, const Identity& identity, Timestamp now) {
  PITR_RETURN_IF_ERROR(ReadAnew(repo, identity, now));
  if (state->watched.empty()) return Status::Ok();
  bool is_under_way = false;
  PITR_RETURN_IF_ERROR(Follow(repo, identity, now, &is_under_way));
  return is_under_way ? Status::Ok() : BeginDue(repo, identity, now);
}

}  // namespace

void ForgetSchedules() {
  delete state;
  state = nullptr;
}

Status KeepSchedules(Repository* repo, const Identity& identity) {
  // A standby's snapshots are its primary's, and a directory that is still being loaded has no pages to copy yet.
  if (InRecovery() || IncompleteDirectory() != nullptr) return Status::Ok();
  if (state == nullptr) state = new KeeperState;
  const Timestamp now = ScheduleNow();
  NoteLook(now);
  const Status status = Look(repo, identity, now);
  // A catalogue that cannot be understood, or a server without a free worker: everything else of the launcher goes on.
  const bool is_told = status.code() == Code::kCorrupt || status.code() == Code::kUnsupported ||
                       status.code() == Code::kLimit;
  if (status.ok() || is_told) state->log.Tell(status);
  return is_told ? Status::Ok() : status;
}

}  // namespace pitr::pg
