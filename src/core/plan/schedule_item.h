// The items of pitr_set_backup_schedule: Neon's (features.md 4.9, 51), or a cron expression.
//
// {"frequency": "hourly" | "daily" | "weekly" | "monthly" | "yearly", "hour": 0-23, "day": 1-31, "month": 1-12} or {"cron": "0 5 * * *"}, and of both kinds
// "retention_seconds" (3600 or more; without it for ever) and "active_only". What is left out is 0 o'clock, the first day, the first month. The day of a week
// is 1 (Monday) to 7; in a month without that day it is the last one, as nobody means to go without the backup of February.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/plan/schedule.h"

namespace pitr {

struct ScheduleItem {
  ScheduleRule rule;
  std::optional<std::string> cron;
  std::optional<std::int64_t> retention_seconds;
  // "active_only": not taken when nothing was committed since the last snapshot; false only when it is said.
  bool is_active_only = true;
  Json canonical;  // with what was left out and has a value
};

// kInvalidArgument.
Result<ScheduleItem> ParseScheduleItem(const Json& item);
// The rule of a schedule in the catalogue: of its cron expression or, without one, of its item.
Result<ScheduleRule> RuleOf(const std::optional<std::string>& cron, const Json& item);
// Of an array; messages say which item. Two that say the same are refused.
Result<std::vector<ScheduleItem>> ParseScheduleItems(const Json& items);

}  // namespace pitr
