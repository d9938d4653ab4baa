#include "core/repo/schedules.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/base/hash.h"
#include "core/repo/catalogue.h"

namespace pitr {

namespace {

constexpr std::string_view kKind = "schedules";
constexpr std::int64_t kVersion = 1;
constexpr std::size_t kSkippedKept = 100;

std::optional<Timestamp> OptionalTime(const std::optional<std::int64_t>& micros) {
  return micros ? std::optional(Timestamp{*micros}) : std::nullopt;
}

Result<ScheduleRun> DecodeRun(const Json& json) {
  ScheduleRun run;
  PITR_ASSIGN_OR_RETURN(run.operation, JsonText(json, "operation"));
  PITR_ASSIGN_OR_RETURN(run.due.micros, JsonInt(json, "due"));
  PITR_ASSIGN_OR_RETURN(run.retry_at.micros, JsonInt(json, "retry_at"));
  PITR_ASSIGN_OR_RETURN(run.failures, JsonInt(json, "failures"));
  PITR_ASSIGN_OR_RETURN(run.is_made_up, JsonBool(json, "made_up"));
  return run;
}

Json EncodeRun(const ScheduleRun& run) {
  Json json;
  json["operation"] = run.operation;
  json["due"] = run.due.micros;
  json["retry_at"] = run.retry_at.micros;
  json["failures"] = run.failures;
  json["made_up"] = run.is_made_up;
  return json;
}

Result<Schedule> DecodeOne(const Json& json) {
  Schedule schedule;
  schedule.members = json;
  PITR_ASSIGN_OR_RETURN(schedule.kind, JsonText(json, "kind"));
  PITR_ASSIGN_OR_RETURN(schedule.branch, JsonText(json, "branch"));
  PITR_ASSIGN_OR_RETURN(schedule.database, JsonOptionalText(json, "database"));
  PITR_ASSIGN_OR_RETURN(schedule.cron, JsonOptionalText(json, "cron"));
  if (const Json* item = JsonObject(json, "item")) schedule.item = *item;
  PITR_ASSIGN_OR_RETURN(schedule.timezone, JsonText(json, "timezone"));
  PITR_ASSIGN_OR_RETURN(schedule.retention_seconds, JsonOptionalInt(json, "retention_seconds"));
  PITR_ASSIGN_OR_RETURN(schedule.served.micros, JsonInt(json, "served"));
  PITR_ASSIGN_OR_RETURN(const auto last_run, JsonOptionalInt(json, "last_run"));
  schedule.last_run = OptionalTime(last_run);
  PITR_ASSIGN_OR_RETURN(const auto state, JsonOptionalText(json, "last_state"));
  schedule.last_state = state.value_or("");
  PITR_ASSIGN_OR_RETURN(const auto detail, JsonOptionalText(json, "last_detail"));
  schedule.last_detail = detail.value_or("");
  if (json.contains("made_up")) {
    PITR_ASSIGN_OR_RETURN(schedule.was_made_up, JsonBool(json, "made_up"));
  }
  if (const Json* run = JsonObject(json, "run")) {
    PITR_ASSIGN_OR_RETURN(schedule.run, DecodeRun(*run));
  }
  return schedule;
}

template <typename T>
void PutOptional(const std::optional<T>& value, const char* member, Json* json) {
  if (value) {
    (*json)[member] = *value;
  } else {
    json->erase(member);
  }
}

Json EncodeOne(const Schedule& schedule) {
  Json json = schedule.members;
  json["id"] = schedule.id;
  json["kind"] = schedule.kind;
  json["branch"] = schedule.branch;
  PutOptional(schedule.database, "database", &json);
  PutOptional(schedule.cron, "cron", &json);
  json["item"] = schedule.item;
  json["timezone"] = schedule.timezone;
  PutOptional(schedule.retention_seconds, "retention_seconds", &json);
  json["served"] = schedule.served.micros;
  std::optional<std::int64_t> last_run;
  if (schedule.last_run) last_run = schedule.last_run->micros;
  PutOptional(last_run, "last_run", &json);
  json["last_state"] = schedule.last_state;
  json["last_detail"] = schedule.last_detail;
  json["made_up"] = schedule.was_made_up;
  json.erase("run");
  if (schedule.run) json["run"] = EncodeRun(*schedule.run);
  return json;
}

Result<SkippedRun> DecodeSkipped(const Json& json) {
  SkippedRun skipped;
  PITR_ASSIGN_OR_RETURN(skipped.schedule, JsonText(json, "schedule"));
  PITR_ASSIGN_OR_RETURN(skipped.name, JsonText(json, "name"));
  PITR_ASSIGN_OR_RETURN(skipped.branch, JsonText(json, "branch"));
  PITR_ASSIGN_OR_RETURN(skipped.due.micros, JsonInt(json, "due"));
  PITR_ASSIGN_OR_RETURN(skipped.at.micros, JsonInt(json, "at"));
  return skipped;
}

Json EncodeSkipped(const SkippedRun& skipped) {
  Json json;
  json["schedule"] = skipped.schedule;
  json["name"] = skipped.name;
  json["branch"] = skipped.branch;
  json["due"] = skipped.due.micros;
  json["at"] = skipped.at.micros;
  return json;
}

bool SaysTheSame(const Schedule& a, const Schedule& b) {
  return a.kind == b.kind && a.database == b.database && a.cron == b.cron && a.item == b.item &&
         a.timezone == b.timezone && a.retention_seconds == b.retention_seconds;
}

// The other line that got `id`'s name when it lost it, for the newest of its names that another line got; nullptr: none did.
const NameSpan* SuccessorOf(const BranchSet& branches, const BranchId& id) {
  for (auto lost = branches.name_spans.rbegin(); lost != branches.name_spans.rend(); ++lost) {
    if (lost->id != id || !lost->until) continue;
    for (const NameSpan& span : branches.name_spans) {
      if (span.name == lost->name && span.id != id && span.since >= lost->until) return &span;
    }
  }
  return nullptr;
}

}  // namespace

const Schedule* ScheduleSet::Find(const std::string& id) const {
  const auto found = std::find_if(schedules.begin(), schedules.end(),
                                  [&](const Schedule& schedule) { return schedule.id == id; });
  return found == schedules.end() ? nullptr : &*found;
}

Schedule* ScheduleSet::Find(const std::string& id) {
  return const_cast<Schedule*>(std::as_const(*this).Find(id));
}

Result<ScheduleSet> DecodeSchedules(const Json& document) {
  PITR_ASSIGN_OR_RETURN(const auto version, JsonOptionalInt(document, "version"));
  if (version.value_or(kVersion) > kVersion) {
    return Status(Code::kUnsupported, "catalogue \"schedules\" has version " +
                                          std::to_string(*version) + ", this program knows " +
                                          std::to_string(kVersion));
  }
  ScheduleSet set;
  if (const Json* schedules = JsonArray(document, "schedules")) {
    for (const Json& json : *schedules) {
      Result<std::string> id = JsonText(json, "id");
      PITR_RETURN_IF_ERROR(Status(id.status()).Prefix("catalogue \"schedules\""));
      Result<Schedule> one = DecodeOne(json);
      PITR_RETURN_IF_ERROR(Status(one.status()).Prefix("schedule \"" + *id + "\""));
      one->id = *std::move(id);
      set.schedules.push_back(*std::move(one));
    }
  }
  if (const Json* skipped = JsonArray(document, "skipped")) {
    for (const Json& json : *skipped) {
      Result<SkippedRun> one = DecodeSkipped(json);
      PITR_RETURN_IF_ERROR(Status(one.status()).Prefix("skipped runs of schedules"));
      set.skipped.push_back(*std::move(one));
    }
  }
  return set;
}

void PutSchedules(const ScheduleSet& set, Json* document) {
  (*document)["version"] = kVersion;
  Json schedules = Json::array(), skipped = Json::array();
  for (const Schedule& schedule : set.schedules) {
    schedules.push_back(EncodeOne(schedule));
  }
  for (const SkippedRun& run : set.skipped) {
    skipped.push_back(EncodeSkipped(run));
  }
  (*document)["schedules"] = std::move(schedules);
  (*document)["skipped"] = std::move(skipped);
}

Result<ScheduleSet> ReadSchedules(Repository* repo) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kKind));
  return DecodeSchedules(document);
}

Status UpdateSchedules(Repository* repo, const std::function<Status(ScheduleSet*)>& change) {
  return UpdateDocument(repo, kKind, [&](Json* document) -> Status {
    PITR_ASSIGN_OR_RETURN(ScheduleSet set, DecodeSchedules(*document));
    PITR_RETURN_IF_ERROR(change(&set));
    PutSchedules(set, document);
    return Status::Ok();
  });
}

Result<std::string> NewScheduleId(Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(4));
  std::string id = "sc-";
  for (const char c : FormatTime(now, 0)) {
    if (c != '-' && c != ':' && c != 'Z') id.push_back(c);
  }
  return id + "-" + ToHex(random);
}

void ReplaceSchedules(ScheduleSet* set, const std::function<bool(const Schedule&)>& is_replaced,
                      std::vector<Schedule> wanted) {
  std::vector<Schedule> after;
  for (const Schedule& schedule : set->schedules) {
    if (!is_replaced(schedule)) after.push_back(schedule);
  }
  for (Schedule& one : wanted) {
    const auto same = std::find_if(
        set->schedules.begin(), set->schedules.end(),
        [&](const Schedule& old) { return is_replaced(old) && SaysTheSame(old, one); });
    after.push_back(same == set->schedules.end() ? std::move(one) : *same);
  }
  set->schedules = std::move(after);
}

void EndRun(ScheduleSet* set, Schedule* schedule, const RunOutcome& outcome, Timestamp now,
            std::int64_t retry_pause_micros) {
  ScheduleRun& run = *schedule->run;
  schedule->last_run = now;
  schedule->last_detail = outcome.detail;
  schedule->was_made_up = run.is_made_up;
  if (!outcome.is_done) {
    schedule->last_state = "failed";
    run.operation.clear();
    run.failures++;
    run.retry_at = {now.micros + (outcome.is_interrupted ? 0 : retry_pause_micros)};
    return;
  }
  schedule->last_state = outcome.is_skipped ? "skipped" : "ok";
  schedule->served = run.due;
  if (outcome.is_skipped && !outcome.name.empty()) {
    set->skipped.push_back({schedule->id, outcome.name, schedule->branch, run.due, now});
    if (set->skipped.size() > kSkippedKept) set->skipped.erase(set->skipped.begin());
  }
  schedule->run.reset();
}

BranchId HolderOf(const BranchSet& branches, const BranchId& id) {
  std::set<BranchId> seen;
  BranchId holder = id;
  for (;;) {
    const Branch* branch = branches.FindId(holder);
    if (branch == nullptr || branch->kind != BranchKind::kUndo || !seen.insert(holder).second) {
      return holder;
    }
    const NameSpan* next = SuccessorOf(branches, holder);
    if (next == nullptr) return holder;
    holder = next->id;
  }
}

}  // namespace pitr
