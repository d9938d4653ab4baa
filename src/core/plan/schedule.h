// When something is due by itself: minutes of the calendar, in a time zone. Pure. What crontab(5) and the items of pitr_set_backup_schedule come
// down to (cron.h, schedule_item.h).
//
// Where clocks are changed, what is due at certain hours comes once a day: at the moment of the change when clocks skip it, the first time when they
// show it twice. What is due in every hour comes whenever clocks show its minute, so that an hour that comes twice has it twice.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/clock.h"

namespace pitr {

class TimeZone {
 public:
  virtual ~TimeZone() = default;
  // Seconds east of Greenwich that clocks show at that moment, less than a day.
  virtual std::int64_t OffsetAt(std::int64_t unix_seconds) const = 0;
};

class Utc final : public TimeZone {
 public:
  std::int64_t OffsetAt(std::int64_t) const override { return 0; }
};

struct ScheduleRule {
  std::uint64_t minutes = 1;        // bit n: minute n
  std::uint32_t hours = 1;          // bit n: hour n
  std::uint32_t days = 0xFFFFFFFE;  // bit n: day n of the month, from 1
  std::uint32_t months = 0x1FFE;    // bit n: month n, from 1
  std::uint32_t weekdays = 0x7F;    // bit 0: Sunday
  bool is_either_day = false;       // days and weekdays: one of the two is enough
  bool is_at_last_day = false;      // in a month without that day it is the last one

  // The first moment behind `after`; nullopt when there is none within 40 years, or beyond the year 9000.
  std::optional<Timestamp> Next(Timestamp after, const TimeZone& zone) const;
  // The last moment that is not later than `at`.
  std::optional<Timestamp> Previous(Timestamp at, const TimeZone& zone) const;
};

}  // namespace pitr
