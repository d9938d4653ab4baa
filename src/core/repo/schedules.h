// The document "schedules" of the catalogue: what servers do by themselves and when, and what became of it. Format: doc/repository-format.md.
//
// A schedule belongs to a branch. When its name moves to another line in a restore, the schedule goes with the name (HolderOf).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"

namespace pitr {

// Of a due time that is being served, or has failed and is tried again.
struct ScheduleRun {
  OperationId operation;  // empty: it has failed, and begins anew at retry_at
  Timestamp due, retry_at;
  std::int64_t failures = 0;
  bool is_made_up = false;
};

struct Schedule {
  std::string id;    // sc-…
  std::string kind;  // snapshot, dump, drill, verify
  BranchId branch;
  std::optional<std::string> database, cron;
  Json item = Json::object();  // as its kind has it
  std::string timezone = "UTC";
  std::optional<std::int64_t> retention_seconds;  // none: for ever
  Timestamp served;  // the due time that was served last, or when it was set
  std::optional<Timestamp> last_run;
  std::string last_state, last_detail;  // ok, skipped, failed; empty: it never ran
  bool was_made_up = false;
  std::optional<ScheduleRun> run;
  Json members = Json::object();  // all that the document has, also what only later versions know
};

// A run that there was nothing to do for: a row of pitr_snapshots.
struct SkippedRun {
  std::string schedule, name;
  BranchId branch;
  Timestamp due, at;
};

struct ScheduleSet {
  std::vector<Schedule> schedules;
  std::vector<SkippedRun> skipped;  // the last ones, oldest first

  const Schedule* Find(const std::string& id) const;
  Schedule* Find(const std::string& id);
};

// kCorrupt names the schedule and the member; kUnsupported for a newer version.
Result<ScheduleSet> DecodeSchedules(const Json& document);
// Into the document as it was; members that are not known stay.
void PutSchedules(const ScheduleSet& set, Json* document);

Result<ScheduleSet> ReadSchedules(Repository* repo);
// As UpdateDocument: `change` may be called again and must start from what it is given.
Status UpdateSchedules(Repository* repo, const std::function<Status(ScheduleSet*)>& change);

Result<std::string> NewScheduleId(Timestamp now);
// `wanted` in the place of all that `is_replaced` says yes to. One that says the same as one that is there stays that one, with its id and last run.
void ReplaceSchedules(ScheduleSet* set, const std::function<bool(const Schedule&)>& is_replaced,
                      std::vector<Schedule> wanted);

struct RunOutcome {
  bool is_done = false, is_skipped = false;
  bool is_interrupted = false;  // by an end of the server: begun anew at once
  std::string detail;           // id of what was made, why it was skipped, the error
  std::string name;             // of what is skipped, for its row; empty: it has none
};
// The operation of the schedule's run has ended. What failed is due until its time is served, or a later one comes.
void EndRun(ScheduleSet* set, Schedule* schedule, const RunOutcome& outcome, Timestamp now,
            std::int64_t retry_pause_micros);

// The line that has the name now which `id` had before restores took it over; `id` itself when none did.
BranchId HolderOf(const BranchSet& branches, const BranchId& id);

}  // namespace pitr
