#include "pg/schedule_rows.h"

#include <algorithm>

#include "core/plan/schedule_item.h"
#include "pg/boundary.h"
#include "pg/operation.h"
#include "pg/schedule_clock.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// nullopt as well when this server does not understand it; its log says so.
std::optional<Timestamp> NextRun(const Schedule& schedule, Timestamp now) {
  const Result<ScheduleRule> rule = RuleOf(schedule.cron, schedule.item);
  const Result<ServerZone> zone = ServerZone::Find(schedule.timezone);
  if (!rule.ok() || !zone.ok()) return std::nullopt;
  const std::optional<Timestamp> next = rule->Next(std::max(now, schedule.served), *zone);
  const bool is_tried_again = schedule.run && schedule.run->operation.empty();
  if (!is_tried_again || !next) return next;
  return std::min(*next, std::max(now, schedule.run->retry_at));
}

void WriteRow(RowBuilder* rows, const std::string& branch, const Schedule& schedule,
              Timestamp now) {
  rows->Text(schedule.id).Text(schedule.kind).Text(branch);
  rows->TextOrNull(schedule.database).TextOrNull(schedule.cron).Input(DumpJson(schedule.item));
  rows->Text(schedule.timezone);
  std::optional<std::int64_t> retention;
  if (schedule.retention_seconds) retention = *schedule.retention_seconds * 1000000;
  rows->IntervalOrNull(retention).TimeOrNull(NextRun(schedule, now)).TimeOrNull(schedule.last_run);
  const bool is_running = schedule.run && !schedule.run->operation.empty();
  rows->TextOrNull(std::string_view(is_running ? "running" : schedule.last_state));
  rows->TextOrNull(std::string_view(schedule.last_detail));
  rows->Bool(schedule.was_made_up).EndRow();
}

Status ViewRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const ScheduleSet set, ReadSchedules(session.repo.get()));
  return WriteScheduleRows(rows, session, set, [](const Schedule&) { return true; });
}

}  // namespace

Status WriteScheduleRows(RowBuilder* rows, const Session& session, const ScheduleSet& set,
                         const std::function<bool(const Schedule&)>& wanted) {
  const Timestamp now = ScheduleNow();
  for (const Schedule& schedule : set.schedules) {
    const Branch* branch = session.branches.FindId(HolderOf(session.branches, schedule.branch));
    if (branch == nullptr || branch->deleted_at || !wanted(schedule)) continue;
    WriteRow(rows, branch->name, schedule, now);
  }
  return Status::Ok();
}

Status WriteSkippedSnapshots(RowBuilder* rows, const Session& session) {
  PITR_ASSIGN_OR_RETURN(const ScheduleSet set, ReadSchedules(session.repo.get()));
  for (const SkippedRun& skipped : set.skipped) {
    const Branch* branch = session.branches.FindId(skipped.branch);
    rows->Text(skipped.name).Null().Text(branch == nullptr ? skipped.branch : branch->name);
    rows->Null().Text("schedule").Text("skipped").Null().Null().Null();
    rows->Time(skipped.at).Time(skipped.at).EndRow();
  }
  return Status::Ok();
}

// It looks at what is written for servers of branches; that is read anew by the same sign.
void TellOfSchedules() { TellOfComputes(); }

}  // namespace pitr::pg

PITR_FUNCTION(pitr_internal_schedules) {
  return pitr::pg::RowsOrKept(fcinfo, "schedules", pitr::pg::ViewRows);
}
