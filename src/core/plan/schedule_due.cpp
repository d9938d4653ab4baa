#include "core/plan/schedule_due.h"

#include <algorithm>

namespace pitr {

namespace {

constexpr std::int64_t kMinute = 60 * 1000000LL, kHour = 60 * kMinute, kDay = 24 * kHour;

}  // namespace

std::optional<DueTime> DueAt(const ScheduleRule& rule, const TimeZone& zone, Timestamp served,
                             Timestamp now, Timestamp watched_since) {
  const std::optional<Timestamp> next = rule.Next(served, zone);
  if (!next || *next > now) {
    return std::nullopt;
  }
  const Timestamp due = rule.Previous(now, zone).value_or(*next);
  return DueTime{due, due < watched_since};
}

Timestamp ServedByClock(Timestamp served, Timestamp now) {
  return served.micros > now.micros + kDay ? now : served;
}

std::int64_t RetryPauseMicros(std::int64_t failures) {
  const std::int64_t doubled = std::clamp<std::int64_t>(failures - 1, 0, 6);
  return std::min(kMinute << doubled, kHour);
}

}  // namespace pitr
