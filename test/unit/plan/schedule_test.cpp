// Moments of schedules: the calendar, and clocks that are changed.
#include "core/plan/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/plan/cron.h"

namespace pitr {
namespace {

// Offsets that change at certain moments.
class ChangingZone final : public TimeZone {
 public:
  ChangingZone(std::int64_t first, std::vector<std::pair<std::string, std::int64_t>> changes)
      : first_(first) {
    for (const auto& [time, offset] : changes) {
      changes_.emplace_back(ParseRfc3339(time)->micros / 1000000, offset);
    }
  }
  std::int64_t OffsetAt(std::int64_t unix_seconds) const override {
    std::int64_t offset = first_;
    for (const auto& [since, later] : changes_) {
      if (since <= unix_seconds) {
        offset = later;
      }
    }
    return offset;
  }

 private:
  const std::int64_t first_;
  std::vector<std::pair<std::int64_t, std::int64_t>> changes_;
};

constexpr std::int64_t kHour = 3600;

// 2026-03-29: 2:00 becomes 3:00; 2026-10-25: 3:00 becomes 2:00.
ChangingZone Berlin() {
  return {kHour, {{"2026-03-29T01:00:00Z", 2 * kHour}, {"2026-10-25T01:00:00Z", kHour}}};
}

Timestamp Time(const std::string& text) {
  const Result<Timestamp> time = ParseRfc3339(text);
  EXPECT_TRUE(time.ok()) << text;
  return time.ok() ? *time : Timestamp();
}

ScheduleRule Cron(const std::string& text) {
  const Result<ScheduleRule> rule = ParseCron(text);
  EXPECT_TRUE(rule.ok()) << rule.status().ToString();
  return rule.ok() ? *rule : ScheduleRule();
}

// The next `count` moments, without date where it is the one before's.
std::string NextOf(const ScheduleRule& rule, const std::string& after, int count,
                   const TimeZone& zone = Utc()) {
  std::string all;
  std::string day;
  Timestamp at = Time(after);
  for (int i = 0; i < count; i++) {
    const std::optional<Timestamp> next = rule.Next(at, zone);
    if (!next) {
      return all + " none";
    }
    EXPECT_GT(*next, at);
    EXPECT_EQ(rule.Previous(*next, zone), next);
    EXPECT_LE(rule.Previous({next->micros - 1}, zone).value_or(Timestamp{INT64_MIN}), at);
    const std::string text = FormatTime(*next, 0);
    all += all.empty() ? "" : " ";
    all += text.substr(0, 10) == day ? text.substr(11, 5) : text.substr(0, 16);
    day = text.substr(0, 10);
    at = *next;
  }
  return all;
}

TEST(Schedule, EveryFieldCounts) {
  EXPECT_EQ(NextOf(Cron("0 5 * * *"), "2026-11-20T10:00:00Z", 2),
            "2026-11-21T05:00 2026-11-22T05:00");
  EXPECT_EQ(NextOf(Cron("0 5 * * *"), "2026-11-20T05:00:00Z", 1), "2026-11-21T05:00");
  EXPECT_EQ(NextOf(Cron("0 5 * * *"), "2026-11-20T04:59:59.999999Z", 1), "2026-11-20T05:00");
  EXPECT_EQ(NextOf(Cron("*/20 8-9 * * *"), "2026-11-20T08:30:00Z", 4),
            "2026-11-20T08:40 09:00 09:20 09:40");
  EXPECT_EQ(NextOf(Cron("30 22 * 2 *"), "2026-11-20T10:00:00Z", 2),
            "2027-02-01T22:30 2027-02-02T22:30");
  // A Friday.
  EXPECT_EQ(NextOf(Cron("0 0 * * mon-tue"), "2026-11-20T10:00:00Z", 3),
            "2026-11-23T00:00 2026-11-24T00:00 2026-11-30T00:00");
  EXPECT_EQ(NextOf(Cron("59 23 31 12 *"), "2026-11-20T10:00:00Z", 2),
            "2026-12-31T23:59 2027-12-31T23:59");
}

TEST(Schedule, DaysOfMonthAndWeekTogetherAreAsInCron) {
  // Both given: either. The 21st is a Saturday.
  EXPECT_EQ(NextOf(Cron("0 0 21,25 * 1"), "2026-11-20T10:00:00Z", 3),
            "2026-11-21T00:00 2026-11-23T00:00 2026-11-25T00:00");
  // One begins with a star: both.
  EXPECT_EQ(NextOf(Cron("0 0 */2 * 1"), "2026-11-20T10:00:00Z", 2),
            "2026-11-23T00:00 2026-12-07T00:00");
  EXPECT_EQ(NextOf(Cron("0 0 13 * */7"), "2026-11-20T10:00:00Z", 1), "2026-12-13T00:00");
}

TEST(Schedule, ADayThatAMonthDoesNotHaveIsPassedOverByCron) {
  EXPECT_EQ(NextOf(Cron("0 0 31 * *"), "2026-01-31T00:00:00Z", 3),
            "2026-03-31T00:00 2026-05-31T00:00 2026-07-31T00:00");
  EXPECT_EQ(NextOf(Cron("0 0 29 2 *"), "2026-11-20T10:00:00Z", 3),
            "2028-02-29T00:00 2032-02-29T00:00 2036-02-29T00:00");
  EXPECT_EQ(NextOf(Cron("0 0 29 2 *"), "2096-03-01T00:00:00Z", 1), "2104-02-29T00:00");
  // A Sunday, which is 28 years away, or 40 where a century lies between.
  EXPECT_EQ(NextOf(Cron("0 0 29 2 */7"), "2032-03-01T00:00:00Z", 1), "2060-02-29T00:00");
  EXPECT_EQ(NextOf(Cron("0 0 29 2 */7"), "2088-03-01T00:00:00Z", 1), "2128-02-29T00:00");
}

TEST(Schedule, TheLastDayOfAMonthStandsInForOneThatItDoesNotHave) {
  ScheduleRule rule = Cron("0 0 31 * *");
  rule.is_at_last_day = true;
  EXPECT_EQ(NextOf(rule, "2026-01-31T00:00:00Z", 4),
            "2026-02-28T00:00 2026-03-31T00:00 2026-04-30T00:00 2026-05-31T00:00");
  rule.days = 1U << 30;
  EXPECT_EQ(NextOf(rule, "2028-01-31T00:00:00Z", 2), "2028-02-29T00:00 2028-03-30T00:00");
  rule.days = 1U << 28;
  EXPECT_EQ(NextOf(rule, "2028-01-31T00:00:00Z", 2), "2028-02-28T00:00 2028-03-28T00:00");
}

TEST(Schedule, ClocksOfAPlaceDecide) {
  const ChangingZone berlin = Berlin();
  EXPECT_EQ(NextOf(Cron("0 5 * * *"), "2026-02-01T05:00:00Z", 1, berlin), "2026-02-02T04:00");
  EXPECT_EQ(NextOf(Cron("0 5 * * *"), "2026-07-01T05:00:00Z", 1, berlin), "2026-07-02T03:00");
  const ChangingZone kiritimati(14 * kHour, {});
  EXPECT_EQ(NextOf(Cron("0 0 1 * *"), "2026-07-01T05:00:00Z", 1, kiritimati), "2026-07-31T10:00");
  const ChangingZone kathmandu(5 * kHour + 45 * 60, {});
  EXPECT_EQ(NextOf(Cron("0 * * * *"), "2026-07-01T00:00:00Z", 2, kathmandu),
            "2026-07-01T00:15 01:15");
}

TEST(Schedule, ATimeThatClocksSkipComesAtTheChange) {
  const ChangingZone berlin = Berlin();
  EXPECT_EQ(NextOf(Cron("30 2 * * *"), "2026-03-28T00:00:00Z", 3, berlin),
            "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30");
  // Once, however many times of that hour there are.
  EXPECT_EQ(NextOf(Cron("0,15,30 2,3 * * *"), "2026-03-29T00:00:00Z", 4, berlin),
            "2026-03-29T01:00 01:15 01:30 2026-03-30T00:00");
}

TEST(Schedule, ATimeThatClocksShowTwiceComesTheFirstTime) {
  const ChangingZone berlin = Berlin();
  EXPECT_EQ(NextOf(Cron("30 2 * * *"), "2026-10-24T10:00:00Z", 2, berlin),
            "2026-10-25T00:30 2026-10-26T01:30");
  EXPECT_EQ(NextOf(Cron("0 2,3 * * *"), "2026-10-24T10:00:00Z", 3, berlin),
            "2026-10-25T00:00 02:00 2026-10-26T01:00");
}

TEST(Schedule, WhatComesEveryHourComesEveryHour) {
  const ChangingZone berlin = Berlin();
  EXPECT_EQ(NextOf(Cron("30 * * * *"), "2026-10-24T23:00:00Z", 5, berlin),
            "2026-10-24T23:30 2026-10-25T00:30 01:30 02:30 03:30");
  EXPECT_EQ(NextOf(Cron("30 * * * *"), "2026-03-28T23:00:00Z", 4, berlin),
            "2026-03-28T23:30 2026-03-29T00:30 01:30 02:30");
}

TEST(Schedule, AnHourThatBelongsToTwoDaysIsInOrder) {
  // At half past midnight clocks go back by an hour, into the day before.
  const ChangingZone zone(0, {{"2026-11-01T00:30:00Z", -kHour}});
  EXPECT_EQ(NextOf(Cron("10,50 * * * *"), "2026-10-31T22:30:00Z", 6, zone),
            "2026-10-31T22:50 23:10 23:50 2026-11-01T00:10 00:50 01:10");
  // Midnight came once, before the change, and is not repeated.
  EXPECT_EQ(NextOf(Cron("0 0 * * *"), "2026-10-31T22:30:00Z", 2, zone),
            "2026-11-01T00:00 2026-11-02T01:00");
}

TEST(Schedule, ADayThatAPlaceDoesNotHave) {
  // Samoa went from the 29th to the 31st.
  const ChangingZone samoa(-10 * kHour, {{"2011-12-30T10:00:00Z", 14 * kHour}});
  EXPECT_EQ(NextOf(Cron("0 12 * * *"), "2011-12-29T00:00:00Z", 4, samoa),
            "2011-12-29T22:00 2011-12-30T10:00 22:00 2011-12-31T22:00");
}

TEST(Schedule, BeyondTheCalendarThereIsNone) {
  const ScheduleRule rule = Cron("0 0 * * *");
  EXPECT_FALSE(rule.Next({INT64_MAX}, Utc()).has_value());
  EXPECT_FALSE(rule.Next({INT64_MIN}, Utc()).has_value());
  EXPECT_FALSE(rule.Previous({INT64_MAX}, Utc()).has_value());
  EXPECT_TRUE(rule.Next(Time("1900-01-01T00:00:00Z"), Utc()).has_value());
}

// Fields as anybody could write them.
std::string RandomCron(std::mt19937* random) {
  const auto pick = [&](int below) {
    return static_cast<int>((*random)() % static_cast<unsigned>(below));
  };
  const std::pair<int, int> ranges[] = {{0, 59}, {0, 23}, {1, 28}, {1, 12}, {0, 6}};
  std::string text;
  for (const auto& [first, last] : ranges) {
    const int a = first + pick(last - first + 1), b = first + pick(last - first + 1);
    const std::string choices[] = {
        "*",
        "*",
        std::to_string(a),
        std::to_string(std::min(a, b)) + "-" + std::to_string(std::max(a, b)),
        "*/" + std::to_string(1 + pick(last)),
        std::to_string(a) + "," + std::to_string(b)};
    text += (text.empty() ? "" : " ") + choices[pick(6)];
  }
  return text;
}

TEST(Schedule, NextAndPreviousAgreeForWhateverRule) {
  std::mt19937 random(20261120);
  const ChangingZone berlin = Berlin();
  const ChangingZone odd(-34 * 60,
                         {{"2026-05-03T03:17:00Z", kHour}, {"2026-09-13T00:10:00Z", -90 * 60}});
  const std::int64_t begin = Time("2026-01-01T00:00:00Z").micros;
  for (int round = 0; round < 400; round++) {
    const std::string text = RandomCron(&random);
    const ScheduleRule rule = Cron(text);
    const TimeZone& zone = round % 2 == 0 ? static_cast<const TimeZone&>(berlin) : odd;
    const Timestamp at{begin + static_cast<std::int64_t>(random()) % (365 * 86400) * 1000000};
    const std::optional<Timestamp> next = rule.Next(at, zone);
    ASSERT_TRUE(next.has_value()) << text;
    EXPECT_GT(*next, at) << text;
    EXPECT_EQ(rule.Previous(*next, zone), next) << text;
    // Nothing lies between: what was the last one before is still the last one right before the next.
    const std::optional<Timestamp> last = rule.Previous(at, zone);
    EXPECT_EQ(rule.Previous({next->micros - 1}, zone), last) << text;
    if (last) {
      EXPECT_LE(*last, at) << text;
      EXPECT_EQ(rule.Next({last->micros - 1}, zone), last) << text;
      EXPECT_EQ(rule.Next(*last, zone), next) << text;
    }
  }
}

}  // namespace
}  // namespace pitr
