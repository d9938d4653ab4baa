// pitr_set_backup_schedule, pitr_set_backup_preset, pitr_delete_schedule.
#include "core/plan/schedule_item.h"
#include "pg/boundary.h"
#include "pg/operation.h"
#include "pg/schedule_clock.h"
#include "pg/schedule_preset.h"
#include "pg/schedule_rows.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// What the caller wants of a branch's snapshots from here on.
struct Wanted {
  std::vector<ScheduleItem> items;
  std::string timezone;
};

// It has no server, which could take a snapshot.
Status CheckHasServer(const Branch& branch) {
  if (branch.kind != BranchKind::kUndo) return Status::Ok();
  return Status(Code::kNotReady,
                "branch \"" + branch.name + "\" has no server that could take snapshots")
      .WithHint("It is what a restore left behind. Make a branch of it with pitr_create_branch.");
}

Result<std::vector<Schedule>> SchedulesOf(const Wanted& wanted, const BranchId& branch,
                                          Timestamp now) {
  std::vector<Schedule> schedules;
  for (const ScheduleItem& item : wanted.items) {
    Schedule schedule;
    PITR_ASSIGN_OR_RETURN(schedule.id, NewScheduleId(now));
    schedule.kind = "snapshot";
    schedule.branch = branch;
    schedule.cron = item.cron;
    schedule.item = item.canonical;
    schedule.timezone = wanted.timezone;
    schedule.retention_seconds = item.retention_seconds;
    schedule.served = now;
    schedules.push_back(std::move(schedule));
  }
  return schedules;
}

// The rows of the branch's snapshot schedules as they are now.
Result<Datum> RowsOf(FunctionCallInfo fcinfo, const Session& session, const BranchId& branch) {
  PITR_ASSIGN_OR_RETURN(const ScheduleSet set, ReadSchedules(session.repo.get()));
  RowBuilder rows(fcinfo);
  PITR_RETURN_IF_ERROR(WriteScheduleRows(&rows, session, set, [&](const Schedule& schedule) {
    return schedule.kind == "snapshot" && HolderOf(session.branches, schedule.branch) == branch;
  }));
  return rows.Finish();
}

Status Replace(const Session& session, const BranchId& branch, const Wanted& wanted) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Schedule> schedules,
                        SchedulesOf(wanted, branch, ScheduleNow()));
  PITR_RETURN_IF_ERROR(UpdateSchedules(session.repo.get(), [&](ScheduleSet* set) {
    ReplaceSchedules(
        set,
        [&](const Schedule& old) {
          return old.kind == "snapshot" && HolderOf(session.branches, old.branch) == branch;
        },
        schedules);
    // What is left of branches that are gone for good.
    std::erase_if(set->schedules, [&](const Schedule& old) {
      return session.branches.FindId(HolderOf(session.branches, old.branch)) == nullptr;
    });
    return Status::Ok();
  }));
  TellOfSchedules();
  return Status::Ok();
}

Result<std::vector<ScheduleItem>> ItemsArg(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 1)) {
    return Status(Code::kInvalidArgument, "schedule must not be null")
        .WithHint("An empty array, '[]', turns schedules off.");
  }
  // The reader wants an object.
  const Result<Json> json = ParseJson("{\"items\":" + JsonbArg(fcinfo, 1) + "}", "schedule");
  if (!json.ok()) return Status(Code::kInvalidArgument, json.status().message());
  return ParseScheduleItems((*json)["items"]);
}

Result<Datum> Set(FunctionCallInfo fcinfo, const std::string& name) {
  Wanted wanted;
  PITR_ASSIGN_OR_RETURN(wanted.items, ItemsArg(fcinfo));
  wanted.timezone = OptionalTextArg(fcinfo, 2).value_or("UTC");
  PITR_RETURN_IF_ERROR(ServerZone::Find(wanted.timezone).status());
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
  PITR_RETURN_IF_ERROR(CheckHasServer(*branch));
  PITR_RETURN_IF_ERROR(Replace(session, branch->id, wanted));
  PITR_RETURN_IF_ERROR(AuditDone(
      session.repo.get(), branch->name, "pitr_set_backup_schedule",
      Quoted(name) + ", " + Quoted(JsonbArg(fcinfo, 1)) + ", " + Quoted(wanted.timezone)));
  return RowsOf(fcinfo, session, branch->id);
}

Result<Datum> SetPreset(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Preset* preset, FindPreset(name));
  const std::string branch_name = OptionalTextArg(fcinfo, 1).value_or("^self");
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(preset->schedule, "preset"));
  Wanted wanted;
  PITR_ASSIGN_OR_RETURN(wanted.items, ParseScheduleItems(json["items"]));
  wanted.timezone = "UTC";
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(branch_name));
  PITR_RETURN_IF_ERROR(CheckHasServer(*branch));
  // In this order: what is to be kept longer is, before snapshots are no longer taken.
  PITR_RETURN_IF_ERROR(SetPresetRules(session.repo.get(), session.branches, branch->id, *preset));
  PITR_RETURN_IF_ERROR(Replace(session, branch->id, wanted));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), branch->name, "pitr_set_backup_preset",
                                 Quoted(name) + ", " + Quoted(branch_name)));
  return RowsOf(fcinfo, session, branch->id);
}

Result<Datum> Delete(FunctionCallInfo, const std::string& id) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  std::string branch;
  PITR_RETURN_IF_ERROR(UpdateSchedules(session.repo.get(), [&](ScheduleSet* set) {
    const Schedule* schedule = set->Find(id);
    if (schedule == nullptr) {
      return Status(Code::kNotFound, "schedule \"" + id + "\" not found")
          .WithHint("pitr_schedules lists the schedules that there are.");
    }
    const Branch* of = session.branches.FindId(HolderOf(session.branches, schedule->branch));
    branch = of == nullptr ? schedule->branch : of->name;
    std::erase_if(set->schedules, [&](const Schedule& one) { return one.id == id; });
    return Status::Ok();
  }));
  TellOfSchedules();
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), branch, "pitr_delete_schedule", Quoted(id)));
  return BoolGetDatum(true);
}

using NamedCall = Result<Datum> (*)(FunctionCallInfo, const std::string&);

Result<Datum> ByName(FunctionCallInfo fcinfo, const char* function, const char* argument,
                     NamedCall call) {
  return AuditedByName(fcinfo, function, argument,
                       [&](const std::string& name) { return call(fcinfo, name); });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_set_backup_schedule) {
  return pitr::pg::ByName(fcinfo, "pitr_set_backup_schedule", "branch", pitr::pg::Set);
}
PITR_FUNCTION(pitr_set_backup_preset) {
  return pitr::pg::ByName(fcinfo, "pitr_set_backup_preset", "preset", pitr::pg::SetPreset);
}
PITR_FUNCTION(pitr_delete_schedule) {
  return pitr::pg::ByName(fcinfo, "pitr_delete_schedule", "schedule_id", pitr::pg::Delete);
}
