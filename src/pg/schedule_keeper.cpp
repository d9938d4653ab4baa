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
#include "pg/scheduled_dump.h"
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
constexpr std::string_view kSnapshot = "snapshot";

struct Watched {
  Schedule schedule;
  ScheduleRule rule;
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

bool IsKnown(const Schedule& schedule) {
  return schedule.kind == kSnapshot || schedule.kind == kDump;
}

// nullopt, and one line in the log: one of a later version perhaps.
std::optional<Watched> Watch(const Schedule& schedule) {
  const Result<ScheduleRule> rule = RuleOf(schedule.cron, schedule.item);
  const Result<ServerZone> zone = ServerZone::Find(schedule.timezone);
  const Status status = rule.ok() ? zone.status() : rule.status();
  if (!status.ok()) {
    if (state->refused.insert(schedule.id).second) {
      LogStatus(WARNING, "schedule \"" + schedule.id + "\" cannot be followed", status);
    }
    return std::nullopt;
  }
  return Watched{schedule, *rule, *zone, rule->Next(schedule.served, *zone)};
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
      if (schedule.branch != identity.branch_id || !IsKnown(schedule)) continue;
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

bool IsUnderWay(const Watched& watched) {
  return watched.schedule.run && !watched.schedule.run->operation.empty();
}

bool IsOf(const Watched& watched, const OperationId& id) {
  return watched.schedule.run && watched.schedule.run->operation == id;
}

// What an operation is of: all snapshots that were due are one, every dump is one of its own.
struct Run {
  std::vector<const Schedule*> schedules;
  Timestamp due;
  std::int64_t failures = 0;

  bool IsSnapshot() const { return schedules.front()->kind == kSnapshot; }
  std::string What() const {
    if (IsSnapshot()) {
      return "scheduled snapshot \"" + NameFor(due) + "\" of branch \"" + state->branch + "\"";
    }
    const std::optional<std::string>& database = schedules.front()->database;
    return "scheduled dump of " + (database ? "database \"" + *database + "\"" : "all databases");
  }
};

// Without schedules when they were deleted meanwhile.
Run RunOf(const OperationId& id) {
  Run run;
  for (const Watched& watched : state->watched) {
    if (!IsOf(watched, id)) continue;
    run.schedules.push_back(&watched.schedule);
    run.due = std::max(run.due, watched.schedule.run->due);
    run.failures = std::max(run.failures, watched.schedule.run->failures);
  }
  return run;
}

// One snapshot is kept as long as the longest of them wants, and taken if one of them wants it in any case.
NewOperation NewSnapshot(const Run& run, Timestamp now) {
  bool is_active_only = true, is_for_ever = false;
  std::int64_t retention = 0;
  for (const Schedule* schedule : run.schedules) {
    is_active_only = is_active_only && schedule->item.value("active_only", true);
    is_for_ever = is_for_ever || !schedule->retention_seconds;
    retention = std::max(retention, schedule->retention_seconds.value_or(0));
  }
  NewOperation operation;
  operation.kind = kSnapshot;
  operation.wait = false;
  Json& request = operation.request;
  request["name"] = NameFor(run.due);
  request["origin"] = "schedule";
  request["expires_at"] = nullptr;
  if (!is_for_ever) request["expires_at"] = FormatTime({now.micros + retention * 1000000});
  request["active_only"] = is_active_only;
  return operation;
}

// REQUIRES: the catalogue has the run. An operation that is in the way is waited for: the next look begins it.
Status Begin(const Identity& identity, const OperationId& id, Timestamp now) {
  const Run run = RunOf(id);
  if (run.schedules.empty()) return Status::Ok();
  NewOperation operation;
  if (run.IsSnapshot()) {
    operation = NewSnapshot(run, now);
  } else {
    Branch self;
    self.id = identity.branch_id;
    self.name = state->branch;
    PITR_ASSIGN_OR_RETURN(operation, NewScheduledDump(*run.schedules.front(), self, id, now));
  }
  operation.id = id;
  operation.branch = state->branch;
  operation.branch_id = identity.branch_id;
  const Status started = StartOperationNow(operation).status();
  if (started.code() == Code::kLockTimeout) return Status::Ok();
  PITR_RETURN_IF_ERROR(started);
  LogQuietly(LOG, "pitr_ext: " + run.What() + " begins");
  PITR_FAULT("schedule.started");
  return Status::Ok();
}

RunOutcome OutcomeOf(const OperationRecord& record, const Run& run) {
  RunOutcome outcome;
  outcome.is_done = record.state == "done";
  if (run.IsSnapshot()) outcome.name = NameFor(run.due);
  if (!outcome.is_done) {
    outcome.is_interrupted = record.sqlstate == "57P01";
    outcome.detail = record.error.empty() ? record.state : record.error;
    return outcome;
  }
  const Result<Json> result = ParseJson(record.result, "result of an operation");
  const Json answer = result.ok() ? *result : Json::object();
  outcome.is_skipped = answer.contains("skipped");
  for (const char* member : {"skipped", "snapshot_id", "dump"}) {
    const Result<std::string> text = JsonText(answer, member);
    if (text.ok() && outcome.detail.empty()) outcome.detail = *text;
  }
  return outcome;
}

void TellOf(const Run& run, const RunOutcome& outcome) {
  if (!outcome.is_done) {
    const std::int64_t pause = RetryPauseMicros(run.failures + 1) / 1000000;
    LogQuietly(WARNING, run.What() + " failed: " + outcome.detail,
               outcome.is_interrupted ? std::string()
                                      : "It is tried again in " + std::to_string(pause) + " s.");
  } else if (outcome.is_skipped) {
    LogQuietly(LOG, "pitr_ext: " + run.What() + " is skipped: " + outcome.detail);
  }
}

// The operation has ended: what became of it is written down.
Status End(Repository* repo, const OperationRecord& record, Timestamp now) {
  const Run run = RunOf(record.id);
  const RunOutcome outcome = OutcomeOf(record, run);
  PITR_FAULT("schedule.before_outcome");
  PITR_RETURN_IF_ERROR(UpdateSchedules(repo, [&](ScheduleSet* set) {
    RunOutcome one = outcome;
    for (Schedule& schedule : set->schedules) {
      if (!schedule.run || schedule.run->operation != record.id) continue;
      EndRun(set, &schedule, one, now, RetryPauseMicros(schedule.run->failures + 1));
      one.name.clear();  // one row for one snapshot, whoever wanted it
    }
    return Status::Ok();
  }));
  TellOf(run, outcome);
  state->is_read = false;
  return Status::Ok();
}

// The runs that are under way; a dump may be beside a snapshot.
Status Follow(Repository* repo, const Identity& identity, Timestamp now) {
  std::set<OperationId> under_way;
  for (const Watched& watched : state->watched) {
    if (IsUnderWay(watched)) under_way.insert(watched.schedule.run->operation);
  }
  for (const OperationId& id : under_way) {
    PITR_ASSIGN_OR_RETURN(const std::optional<OperationRecord> record, FindRecord(repo, id));
    if (!record) {
      PITR_RETURN_IF_ERROR(Begin(identity, id, now));
    } else if (IsOver(*record)) {
      PITR_RETURN_IF_ERROR(End(repo, *record, now));
    }
  }
  return Status::Ok();
}

struct DueSchedule {
  std::string id;
  bool is_snapshot;
  ScheduleRun run;
};

std::vector<DueSchedule> FindDue(Timestamp now) {
  std::vector<DueSchedule> all;
  for (const Watched& watched : state->watched) {
    if (!watched.next || *watched.next > now || IsUnderWay(watched)) continue;
    const std::optional<DueTime> due =
        DueAt(watched.rule, watched.zone, watched.schedule.served, now, state->looking_since);
    if (!due) continue;
    DueSchedule one = {watched.schedule.id, watched.schedule.kind == kSnapshot, {}};
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

// Dumps and their restores are in nobody's way but each other's (operation.cpp).
bool IsInTheWay(std::string_view running, bool of_snapshot) {
  if (running == kLook) return false;
  return of_snapshot != (running == kDump || running == kRestoreDump);
}

bool CanBegin(const DueSchedule& due) {
  const std::vector<OperationSlot> slots = AllOperations();
  return std::none_of(slots.begin(), slots.end(), [&](const OperationSlot& slot) {
    return slot.finished_at == 0 && IsInTheWay(slot.kind, due.is_snapshot);
  });
}

// Of what is due and can begin: all snapshots, or one of the others.
std::vector<DueSchedule> FirstOf(std::vector<DueSchedule> due) {
  std::erase_if(due, [](const DueSchedule& one) { return !CanBegin(one); });
  const auto others = std::stable_partition(due.begin(), due.end(),
                                            [](const DueSchedule& one) { return one.is_snapshot; });
  due.erase(others == due.begin() && others != due.end() ? others + 1 : others, due.end());
  return due;
}

Status BeginDue(Repository* repo, const Identity& identity, Timestamp now) {
  const std::vector<DueSchedule> due = FirstOf(FindDue(now));
  if (due.empty()) return Status::Ok();
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
  PITR_RETURN_IF_ERROR(Follow(repo, identity, now));
  // What has just ended has changed the catalogue.
  return state->is_read ? BeginDue(repo, identity, now) : Status::Ok();
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
