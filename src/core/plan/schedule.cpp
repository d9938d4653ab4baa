// Day by day: which days of the calendar count, and which moments the minutes of such a day are.
#include "core/plan/schedule.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace pitr {

namespace {

constexpr std::int64_t kMicros = 1000000, kDay = 86400;
// A 29 February that is a certain day of the week can be 40 years away.
constexpr std::int64_t kHorizonDays = 41 * 366;
constexpr std::uint32_t kEveryHour = (1U << 24) - 1;
// Of days since 1970: the calendar of the library ends soon behind.
constexpr std::int64_t kLastDay = 7030 * 365, kFirstDay = -kLastDay / 4;

std::int64_t FloorDivide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

bool Has(std::uint64_t bits, unsigned number) { return (bits >> number & 1) != 0; }

// `day`: since 1970-01-01.
bool IsOn(const ScheduleRule& rule, std::int64_t day) {
  const std::chrono::sys_days date{std::chrono::days{day}};
  const std::chrono::year_month_day calendar{date};
  const auto in_month = static_cast<unsigned>(calendar.day());
  if (!Has(rule.months, static_cast<unsigned>(calendar.month()))) {
    return false;
  }
  bool is_day = Has(rule.days, in_month);
  if (rule.is_at_last_day && !is_day) {
    const auto last =
        static_cast<unsigned>((calendar.year() / calendar.month() / std::chrono::last).day());
    is_day = in_month == last && (std::uint64_t{rule.days} >> (last + 1)) != 0;
  }
  const bool is_weekday = Has(rule.weekdays, std::chrono::weekday{date}.c_encoding());
  return rule.is_either_day ? is_day || is_weekday : is_day && is_weekday;
}

// The first moment at which clocks show `local` or later. REQUIRES: they do not show it.
std::int64_t MomentOfChange(std::int64_t local, const TimeZone& zone) {
  std::int64_t before = local - kDay, behind = local + kDay;
  while (behind - before > 1) {
    const std::int64_t middle = before + (behind - before) / 2;
    (middle + zone.OffsetAt(middle) >= local ? behind : before) = middle;
  }
  return behind;
}

// The moments at which clocks show `local`, seconds since 1970 as they show them.
void AddMoments(std::int64_t local, const TimeZone& zone, bool every,
                std::vector<std::int64_t>* moments) {
  const std::int64_t before = zone.OffsetAt(local - kDay), after = zone.OffsetAt(local + kDay);
  bool is_shown = false;
  // Farther east is earlier.
  for (const std::int64_t offset : std::array{std::max(before, after), std::min(before, after)}) {
    if (zone.OffsetAt(local - offset) != offset) {
      continue;
    }
    moments->push_back(local - offset);
    is_shown = true;
    if (!every || before == after) {
      return;
    }
  }
  if (!is_shown && !every) {
    moments->push_back(MomentOfChange(local, zone));
  }
}

// Ascending, each once.
std::vector<std::int64_t> MomentsOn(const ScheduleRule& rule, std::int64_t day,
                                    const TimeZone& zone) {
  std::vector<std::int64_t> moments;
  for (unsigned hour = 0; hour < 24; hour++) {
    for (unsigned minute = 0; Has(rule.hours, hour) && minute < 60; minute++) {
      if (Has(rule.minutes, minute)) {
        AddMoments(day * kDay + hour * 3600 + minute * 60, zone, rule.hours == kEveryHour,
                   &moments);
      }
    }
  }
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  return moments;
}

bool IsInCalendar(std::int64_t day) { return kFirstDay <= day && day <= kLastDay; }

// The day that clocks show.
std::int64_t DayOf(std::int64_t seconds, const TimeZone& zone) {
  return FloorDivide(seconds + zone.OffsetAt(seconds), kDay);
}

}  // namespace

// An hour that comes twice may belong to two days, so that a moment of the day behind can come first: that one is looked at, too.
std::optional<Timestamp> ScheduleRule::Next(Timestamp after, const TimeZone& zone) const {
  const std::int64_t seconds = FloorDivide(after.micros, kMicros);
  if (!IsInCalendar(FloorDivide(seconds, kDay))) {
    return std::nullopt;
  }
  const std::int64_t first = DayOf(seconds, zone) - 1;
  std::optional<std::int64_t> found;
  for (std::int64_t day = first, last = first + kHorizonDays; day <= last; day++) {
    if (!IsOn(*this, day)) {
      continue;
    }
    const std::vector<std::int64_t> moments = MomentsOn(*this, day, zone);
    const auto next = std::upper_bound(moments.begin(), moments.end(), seconds);
    if (next == moments.end()) {
      continue;
    }
    if (!found) {
      last = day + 1;
    }
    found = std::min(found.value_or(*next), *next);
  }
  return found ? std::optional(Timestamp{*found * kMicros}) : std::nullopt;
}

std::optional<Timestamp> ScheduleRule::Previous(Timestamp at, const TimeZone& zone) const {
  const std::int64_t seconds = FloorDivide(at.micros, kMicros);
  if (!IsInCalendar(FloorDivide(seconds, kDay))) {
    return std::nullopt;
  }
  const std::int64_t first = DayOf(seconds, zone) + 1;
  std::optional<std::int64_t> found;
  for (std::int64_t day = first, last = first - kHorizonDays; day >= last; day--) {
    if (!IsOn(*this, day)) {
      continue;
    }
    const std::vector<std::int64_t> moments = MomentsOn(*this, day, zone);
    const auto behind = std::upper_bound(moments.begin(), moments.end(), seconds);
    if (behind == moments.begin()) {
      continue;
    }
    if (!found) {
      last = day - 1;
    }
    found = std::max(found.value_or(*(behind - 1)), *(behind - 1));
  }
  return found ? std::optional(Timestamp{*found * kMicros}) : std::nullopt;
}

}  // namespace pitr
