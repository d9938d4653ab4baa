// Five fields as crontab(5) has them.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/plan/schedule.h"

namespace pitr {

// Minute, hour, day of the month, month, day of the week (0 and 7 are Sunday): numbers, names of three letters, ranges, lists, steps; or @hourly, @daily,
// @midnight, @weekly, @monthly, @yearly, @annually. When both days are given, neither beginning with "*", one of them is enough. kInvalidArgument
// with the value and its position, counted from 1.
Result<ScheduleRule> ParseCron(std::string_view text);

}  // namespace pitr
