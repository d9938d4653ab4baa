#include "core/plan/schedule_item.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/plan/cron.h"

namespace pitr {

namespace {

constexpr std::size_t kMostItems = 50;
constexpr std::int64_t kLeastRetention = 3600, kMostRetention = 100LL * 366 * 86400;

// What goes with a frequency, and how far its day goes; 0: it has none.
struct Frequency {
  std::string_view name;
  bool has_hour;
  std::int64_t last_day;
  bool has_month;
};
constexpr std::array<Frequency, 5> kFrequencies = {{
    {"hourly", false, 0, false},
    {"daily", true, 0, false},
    {"weekly", true, 7, false},
    {"monthly", true, 31, false},
    {"yearly", true, 31, true},
}};

constexpr std::array<std::string_view, 7> kMembers = {
    "frequency", "hour", "day", "month", "retention_seconds", "active_only", "cron"};

Status Invalid(const std::string& message) { return Status(Code::kInvalidArgument, message); }

// A member that is null is none.
const Json* MemberOf(const Json& item, std::string_view name) {
  const auto found = item.find(std::string(name));
  return found == item.end() || found->is_null() ? nullptr : &*found;
}

Result<std::int64_t> NumberOf(const Json& item, std::string_view name, std::int64_t least,
                              std::int64_t most, std::int64_t otherwise) {
  const Json* value = MemberOf(item, name);
  if (value == nullptr) {
    return otherwise;
  }
  const Result<std::int64_t> number = JsonInt(item, name);
  const std::string what = std::string(name) + " " + DumpJson(*value);
  if (!number.ok()) {
    return Invalid(what + " is not a whole number");
  }
  if (*number < least || *number > most) {
    return Invalid(what + " is not in " + std::to_string(least) + "-" + std::to_string(most));
  }
  return *number;
}

Status CheckMembers(const Json& item) {
  if (!item.is_object()) {
    return Invalid(DumpJson(item).substr(0, 100) + " is not an object");
  }
  for (const auto& [name, value] : item.items()) {
    if (std::find(kMembers.begin(), kMembers.end(), name) == kMembers.end()) {
      return Invalid("member \"" + name + "\" is not known")
          .WithHint(
              "Members are frequency, hour, day, month or cron, and retention_seconds, "
              "active_only.");
    }
  }
  return Status::Ok();
}

Status RefuseMember(const Json& item, std::string_view name, const std::string& with) {
  if (MemberOf(item, name) == nullptr) {
    return Status::Ok();
  }
  return Invalid("member \"" + std::string(name) + "\" does not go with " + with);
}

Status ReadCron(const Json& item, const Json& text, ScheduleItem* out) {
  for (const std::string_view name : {"frequency", "hour", "day", "month"}) {
    PITR_RETURN_IF_ERROR(RefuseMember(item, name, "cron"));
  }
  if (!text.is_string()) {
    return Invalid("cron " + DumpJson(text) + " is not a text");
  }
  out->cron = text.get<std::string>();
  PITR_ASSIGN_OR_RETURN(out->rule, ParseCron(*out->cron));
  out->canonical["cron"] = *out->cron;
  return Status::Ok();
}

Result<Frequency> FrequencyOf(const Json& item) {
  const Json* value = MemberOf(item, "frequency");
  if (value == nullptr) {
    return Invalid("neither frequency nor cron is given");
  }
  for (const Frequency& frequency : kFrequencies) {
    if (value->is_string() && value->get<std::string>() == frequency.name) {
      return frequency;
    }
  }
  return Invalid("frequency " + DumpJson(*value) + " is not known")
      .WithHint("It is hourly, daily, weekly, monthly or yearly.");
}

Status ReadFrequency(const Json& item, ScheduleItem* out) {
  PITR_ASSIGN_OR_RETURN(const Frequency frequency, FrequencyOf(item));
  const std::string with = "frequency \"" + std::string(frequency.name) + "\"";
  ScheduleRule& rule = out->rule;
  out->canonical["frequency"] = std::string(frequency.name);
  rule.hours = (1U << 24) - 1;
  if (frequency.has_hour) {
    PITR_ASSIGN_OR_RETURN(const std::int64_t hour, NumberOf(item, "hour", 0, 23, 0));
    rule.hours = 1U << hour;
    out->canonical["hour"] = hour;
  } else {
    PITR_RETURN_IF_ERROR(RefuseMember(item, "hour", with));
  }
  if (frequency.last_day > 0) {
    PITR_ASSIGN_OR_RETURN(const std::int64_t day, NumberOf(item, "day", 1, frequency.last_day, 1));
    if (frequency.last_day == 7) {
      rule.weekdays = 1U << (day % 7);
    } else {
      rule.days = 1U << day;
      rule.is_at_last_day = true;
    }
    out->canonical["day"] = day;
  } else {
    PITR_RETURN_IF_ERROR(RefuseMember(item, "day", with));
  }
  if (frequency.has_month) {
    PITR_ASSIGN_OR_RETURN(const std::int64_t month, NumberOf(item, "month", 1, 12, 1));
    rule.months = 1U << month;
    out->canonical["month"] = month;
    return Status::Ok();
  }
  return RefuseMember(item, "month", with);
}

}  // namespace

Result<ScheduleItem> ParseScheduleItem(const Json& item) {
  PITR_RETURN_IF_ERROR(CheckMembers(item));
  ScheduleItem out;
  out.canonical = Json::object();
  if (const Json* cron = MemberOf(item, "cron")) {
    PITR_RETURN_IF_ERROR(ReadCron(item, *cron, &out));
  } else {
    PITR_RETURN_IF_ERROR(ReadFrequency(item, &out));
  }
  if (MemberOf(item, "retention_seconds") != nullptr) {
    PITR_ASSIGN_OR_RETURN(out.retention_seconds,
                          NumberOf(item, "retention_seconds", kLeastRetention, kMostRetention, 0));
    out.canonical["retention_seconds"] = *out.retention_seconds;
  }
  if (const Json* active_only = MemberOf(item, "active_only")) {
    if (!active_only->is_boolean()) {
      return Invalid("active_only " + DumpJson(*active_only) + " is not true or false");
    }
    out.is_active_only = active_only->get<bool>();
    out.canonical["active_only"] = out.is_active_only;
  }
  return out;
}

Result<ScheduleRule> RuleOf(const std::optional<std::string>& cron, const Json& item) {
  if (cron) {
    return ParseCron(*cron);
  }
  PITR_ASSIGN_OR_RETURN(const ScheduleItem parsed, ParseScheduleItem(item));
  return parsed.rule;
}

Result<std::vector<ScheduleItem>> ParseScheduleItems(const Json& items) {
  if (!items.is_array()) {
    return Invalid("schedule is not an array").WithHint("An empty one, [], turns schedules off.");
  }
  if (items.size() > kMostItems) {
    return Invalid("schedule has " + std::to_string(items.size()) + " items, more than " +
                   std::to_string(kMostItems));
  }
  std::vector<ScheduleItem> parsed;
  for (const Json& item : items) {
    const std::string which = "schedule item " + std::to_string(parsed.size() + 1);
    Result<ScheduleItem> one = ParseScheduleItem(item);
    if (!one.ok()) {
      return std::move(one).status().Prefix(which);
    }
    for (std::size_t i = 0; i < parsed.size(); i++) {
      if (parsed[i].canonical == one->canonical) {
        return Invalid(which + " says the same as item " + std::to_string(i + 1));
      }
    }
    parsed.push_back(std::move(*one));
  }
  return parsed;
}

}  // namespace pitr
