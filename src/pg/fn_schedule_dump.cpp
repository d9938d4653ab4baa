// pitr_schedule_dump.
#include "core/plan/cron.h"
#include "pg/boundary.h"
#include "pg/dump_places.h"
#include "pg/dump_request.h"
#include "pg/operation.h"
#include "pg/schedule_clock.h"
#include "pg/schedule_rows.h"
#include "pg/scheduled_dump.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000, kLeastRetention = 3600,
                       kMostRetention = 100LL * 366 * 86400;

Result<std::optional<std::int64_t>> RetentionArg(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 2)) return std::optional<std::int64_t>();
  const std::int64_t seconds = IntervalArg(fcinfo, 2) / kSecond;
  if (seconds >= kLeastRetention && seconds <= kMostRetention) return std::optional(seconds);
  return Status(Code::kInvalidArgument,
                "retention of " + std::to_string(seconds) + " s is not in 1 hour to 100 years")
      .WithHint("NULL keeps dumps for ever.");
}

// The options as they are kept, the repository as it was understood.
Result<Json> ItemArg(FunctionCallInfo fcinfo) {
  const std::string text = IsNull(fcinfo, 4) ? "{}" : JsonbArg(fcinfo, 4);
  Result<Json> item = ParseJson(text, "options");
  if (!item.ok()) return Status(Code::kInvalidArgument, item.status().message());
  PITR_ASSIGN_OR_RETURN(const DumpItem parsed, ParseDumpItem(*item));
  if (!parsed.repository.empty()) {
    PITR_ASSIGN_OR_RETURN((*item)["repository"], CheckDumpAddress(parsed.repository));
  }
  return item;
}

Result<Schedule> ReadSchedule(FunctionCallInfo fcinfo, const BranchId& branch) {
  Schedule schedule;
  const Timestamp now = ScheduleNow();
  schedule.kind = kDump;
  schedule.branch = branch;
  schedule.served = now;
  schedule.database = OptionalTextArg(fcinfo, 0);
  schedule.cron = OptionalTextArg(fcinfo, 1).value_or("0 5 * * *");
  PITR_RETURN_IF_ERROR(ParseCron(*schedule.cron).status());
  PITR_ASSIGN_OR_RETURN(schedule.retention_seconds, RetentionArg(fcinfo));
  schedule.timezone = OptionalTextArg(fcinfo, 3).value_or("UTC");
  PITR_RETURN_IF_ERROR(ServerZone::Find(schedule.timezone).status());
  PITR_ASSIGN_OR_RETURN(schedule.item, ItemArg(fcinfo));
  if (schedule.database && !HasDatabase(*schedule.database)) {
    return Status(Code::kNotFound, "database \"" + *schedule.database + "\" does not exist");
  }
  PITR_ASSIGN_OR_RETURN(schedule.id, NewScheduleId(now));
  return schedule;
}

std::string ArgumentsOf(FunctionCallInfo fcinfo) {
  const std::optional<std::string> database = OptionalTextArg(fcinfo, 0);
  const std::optional<std::string> cron = OptionalTextArg(fcinfo, 1);
  return (database ? Quoted(*database) : "NULL") + (cron ? ", " + Quoted(*cron) : "");
}

// One of the same database and times is changed; the same call again changes nothing.
Result<Datum> Create(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  const BranchId& self = session.identity.branch_id;
  PITR_ASSIGN_OR_RETURN(const Schedule wanted, ReadSchedule(fcinfo, self));
  const auto is_this = [&](const Schedule& old) {
    return old.kind == kDump && HolderOf(session.branches, old.branch) == self &&
           old.database == wanted.database && old.cron == wanted.cron &&
           old.timezone == wanted.timezone;
  };
  PITR_RETURN_IF_ERROR(UpdateSchedules(session.repo.get(), [&](ScheduleSet* set) {
    ReplaceSchedules(set, is_this, {wanted});
    return Status::Ok();
  }));
  TellOfSchedules();
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), session.self().name, "pitr_schedule_dump",
                                 ArgumentsOf(fcinfo)));
  PITR_ASSIGN_OR_RETURN(const ScheduleSet set, ReadSchedules(session.repo.get()));
  RowBuilder rows(fcinfo);
  PITR_RETURN_IF_ERROR(WriteScheduleRows(&rows, session, set, is_this));
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_schedule_dump) {
  return pitr::pg::Audited("pitr_schedule_dump", pitr::pg::ArgumentsOf(fcinfo),
                           [&] { return pitr::pg::Create(fcinfo); });
}
