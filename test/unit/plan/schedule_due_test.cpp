// What is due, with a clock that does whatever clocks do.
#include "core/plan/schedule_due.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "core/plan/cron.h"

namespace pitr {
namespace {

constexpr std::int64_t kSecond = 1000000, kMinute = 60 * kSecond, kHour = 60 * kMinute;

Timestamp Time(const std::string& text) { return *ParseRfc3339(text); }

class ScheduleDue : public testing::Test {
 protected:
  // "05:00" of what is due, with "*" when it is made up; "" for nothing.
  std::string At(const std::string& served, const std::string& now, const std::string& watched) {
    const auto due = DueAt(daily_, Utc(), Time(served), Time(now), Time(watched));
    return due ? FormatTime(due->due, 0).substr(0, 16) + (due->is_made_up ? "*" : "") : "";
  }
  const ScheduleRule daily_ = *ParseCron("0 5 * * *");
};

TEST_F(ScheduleDue, OnTime) {
  EXPECT_EQ(At("2026-11-19T05:00:00Z", "2026-11-20T04:59:59Z", "2026-11-01T00:00:00Z"), "");
  EXPECT_EQ(At("2026-11-19T05:00:00Z", "2026-11-20T05:00:00Z", "2026-11-01T00:00:00Z"),
            "2026-11-20T05:00");
  EXPECT_EQ(At("2026-11-20T05:00:00Z", "2026-11-20T05:00:00Z", "2026-11-01T00:00:00Z"), "");
}

TEST_F(ScheduleDue, ATimeBeforeItWasSetIsNotDue) {
  EXPECT_EQ(At("2026-11-20T05:00:01Z", "2026-11-20T23:00:00Z", "2026-11-20T22:00:00Z"), "");
}

TEST_F(ScheduleDue, WhatWasMissedIsMadeUpOnceAsTheNewest) {
  EXPECT_EQ(At("2026-11-10T05:00:00Z", "2026-11-20T10:00:00Z", "2026-11-20T09:59:00Z"),
            "2026-11-20T05:00*");
  EXPECT_EQ(At("2026-11-20T05:00:00Z", "2026-11-20T10:00:01Z", "2026-11-20T09:59:00Z"), "");
  // Watched all the time, and late because something else was under way.
  EXPECT_EQ(At("2026-11-19T05:00:00Z", "2026-11-20T05:10:00Z", "2026-11-20T05:00:00Z"),
            "2026-11-20T05:00");
}

TEST_F(ScheduleDue, AClockThatIsPutBackRepeatsNothing) {
  EXPECT_EQ(At("2026-11-20T05:00:00Z", "2026-11-20T04:30:00Z", "2026-11-20T04:30:00Z"), "");
  EXPECT_EQ(At("2026-11-20T05:00:00Z", "2026-11-20T05:00:00Z", "2026-11-20T04:30:00Z"), "");
  EXPECT_EQ(At("2026-11-20T05:00:00Z", "2026-11-21T05:00:00Z", "2026-11-20T04:30:00Z"),
            "2026-11-21T05:00");
}

TEST_F(ScheduleDue, WhatWasServedInAFutureThatWasNoneIsForgotten) {
  const Timestamp now = Time("2026-11-20T10:00:00Z");
  EXPECT_EQ(ServedByClock(Time("2026-11-21T09:00:00Z"), now), Time("2026-11-21T09:00:00Z"));
  EXPECT_EQ(ServedByClock(Time("2066-11-21T09:00:00Z"), now), now);
  EXPECT_EQ(ServedByClock(Time("2026-11-19T09:00:00Z"), now), Time("2026-11-19T09:00:00Z"));
}

TEST_F(ScheduleDue, FailuresAreTriedAgainLessAndLessOften) {
  EXPECT_EQ(RetryPauseMicros(1), kMinute);
  EXPECT_EQ(RetryPauseMicros(2), 2 * kMinute);
  EXPECT_EQ(RetryPauseMicros(6), 32 * kMinute);
  EXPECT_EQ(RetryPauseMicros(7), kHour);
  EXPECT_EQ(RetryPauseMicros(1000000), kHour);
  EXPECT_EQ(RetryPauseMicros(0), kMinute);
}

// A launcher that looks each second or so, with pauses, jumps and steps back: no due time is served twice, and after each look everything that is due by then
// is served.
TEST_F(ScheduleDue, WhateverTheClockDoesNothingIsServedTwice) {
  std::mt19937 random(7);
  const ScheduleRule rule = *ParseCron("*/10 * * * *");
  Timestamp now = Time("2026-11-20T10:00:00Z"), served = now;
  std::set<Timestamp> all;
  for (int step = 0; step < 20000; step++) {
    const unsigned kind = random() % 200;
    std::int64_t by = kSecond * static_cast<std::int64_t>(1 + random() % 20);
    if (kind == 0) by = kHour * static_cast<std::int64_t>(random() % 48);
    if (kind == 1) by = -kHour * static_cast<std::int64_t>(random() % 5);
    now.micros += by;
    const auto due = DueAt(rule, Utc(), served, now, now);
    if (due) {
      EXPECT_LE(due->due, now);
      EXPECT_GT(due->due, served);
      EXPECT_TRUE(all.insert(due->due).second) << FormatTime(due->due);
      served = due->due;
    }
    EXPECT_FALSE(DueAt(rule, Utc(), served, now, now).has_value());
  }
  EXPECT_GT(all.size(), 100U);
}

}  // namespace
}  // namespace pitr
