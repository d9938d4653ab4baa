#include "core/plan/cron.h"

#include <gtest/gtest.h>

#include <string>

namespace pitr {
namespace {

// Bits as numbers.
std::string Numbers(std::uint64_t bits) {
  std::string numbers;
  for (int i = 0; i < 64; i++) {
    if ((bits >> i & 1) != 0) {
      numbers += (numbers.empty() ? "" : ",") + std::to_string(i);
    }
  }
  return numbers;
}

ScheduleRule Parse(const std::string& text) {
  const Result<ScheduleRule> rule = ParseCron(text);
  EXPECT_TRUE(rule.ok()) << rule.status().ToString();
  return rule.ok() ? *rule : ScheduleRule();
}

void Same(const std::string& a, const std::string& b) {
  const ScheduleRule left = Parse(a), right = Parse(b);
  EXPECT_EQ(left.minutes, right.minutes) << a;
  EXPECT_EQ(left.hours, right.hours) << a;
  EXPECT_EQ(left.days, right.days) << a;
  EXPECT_EQ(left.months, right.months) << a;
  EXPECT_EQ(left.weekdays, right.weekdays) << a;
  EXPECT_EQ(left.is_either_day, right.is_either_day) << a;
}

TEST(Cron, FieldsAreListsOfRangesWithSteps) {
  const ScheduleRule rule = Parse("0,15-20,40-59/5 */6 1,31 2-4 1-5");
  EXPECT_EQ(Numbers(rule.minutes), "0,15,16,17,18,19,20,40,45,50,55");
  EXPECT_EQ(Numbers(rule.hours), "0,6,12,18");
  EXPECT_EQ(Numbers(rule.days), "1,31");
  EXPECT_EQ(Numbers(rule.months), "2,3,4");
  EXPECT_EQ(Numbers(rule.weekdays), "1,2,3,4,5");
  EXPECT_TRUE(rule.is_either_day);
  EXPECT_FALSE(Parse("0 0 1 * *").is_either_day);
  EXPECT_EQ(Numbers(Parse("50/3 * * * *").minutes), "50,53,56,59");
  EXPECT_EQ(Numbers(Parse("* * * * *").days), Numbers(ScheduleRule().days));
  EXPECT_EQ(Numbers(Parse("* * * * *").months), Numbers(ScheduleRule().months));
  EXPECT_EQ(Numbers(Parse("* * * * *").weekdays), Numbers(ScheduleRule().weekdays));
}

TEST(Cron, NamesAndSundays) {
  EXPECT_EQ(Numbers(Parse("0 0 * jan,DEC mon").months), "1,12");
  EXPECT_EQ(Numbers(Parse("0 0 * * sun,Wed").weekdays), "0,3");
  EXPECT_EQ(Numbers(Parse("0 0 * * 7").weekdays), "0");
  EXPECT_EQ(Numbers(Parse("0 0 * * fri-sun").weekdays), "0,5,6");
  EXPECT_EQ(Numbers(Parse("0 0 * * 5-7").weekdays), "0,5,6");
  EXPECT_EQ(Numbers(Parse("0 0 * * 0-6").weekdays), "0,1,2,3,4,5,6");
}

TEST(Cron, Words) {
  Same("@hourly", "0 * * * *");
  Same("@daily", "0 0 * * *");
  Same("@midnight", "0 0 * * *");
  Same("@Weekly", "0 0 * * 0");
  Same("@monthly", "0 0 1 * *");
  Same("@yearly", "0 0 1 1 *");
  Same("  @annually ", "0 0 1 1 *");
  Same("\t0  5 * \t* * ", "0 5 * * *");
}

struct Bad {
  const char *text, *message;
};

TEST(Cron, WhatIsWrongIsSaidWithItsPlace) {
  const Bad all[] = {
      {"", "minute is missing at position 1"},
      {"0 5 * *", "day of the week is missing at position 8"},
      {"0 5 * * * *", "a sixth field is not expected at position 11"},
      {"60 * * * *", "minute 60 is not in 0-59 at position 1"},
      {"0 24 * * *", "hour 24 is not in 0-23 at position 3"},
      {"0 0 0 * *", "day of the month 0 is not in 1-31 at position 5"},
      {"0 0 * 13 *", "month 13 is not in 1-12 at position 7"},
      {"0 0 * * 8", "day of the week 8 is not in 0-7 at position 9"},
      {"0 0 * * 0,1,99999999999999999999",
       "day of the week 99999999999999999999 is not in 0-7 at position 13"},
      {"0 0 * foo *", "month \"foo\" is not known at position 7"},
      {"0 0 * nfe *", "month \"nfe\" is not known at position 7"},
      {"0 0 * january *", "month \"january\" is not known at position 7"},
      {"0 mon * * *", "hour \"mon\" is not a number at position 3"},
      {"5-3 * * * *", "range 5-3 ends before it begins at position 1"},
      {"1,5-3 * * * *", "range 5-3 ends before it begins at position 3"},
      {"*/0 * * * *", "step 0 is not in 1-59 at position 3"},
      {"*/60 * * * *", "step 60 is not in 1-59 at position 3"},
      {"*/ * * * *", "step is missing at position 3"},
      {"1, * * * *", "minute is missing at position 3"},
      {"1- * * * *", "minute is missing at position 3"},
      {", * * * *", "minute \",\" is not a number at position 1"},
      {"-1 * * * *", "minute \"-\" is not a number at position 1"},
      {"1.5 * * * *", "\".\" is not expected at position 2"},
      {"*5 * * * *", "\"5\" is not expected at position 2"},
      {"5x * * * *", "minute \"5x\" is not a number at position 1"},
      {"1\xC3\xBC * * * *", "\"\xC3\xBC\" is not expected at position 2"},
      {"@reboot", "\"@reboot\" is not known at position 1"},
      {"@daily 5", "day of the month is missing at position 9"},
      {"0 0 31 2 *", "a day that never comes at position 5"},
      {"0 0 30,31 2 *", "a day that never comes at position 5"},
  };
  for (const Bad& bad : all) {
    const Result<ScheduleRule> rule = ParseCron(bad.text);
    EXPECT_EQ(rule.status().code(), Code::kInvalidArgument) << bad.text;
    EXPECT_NE(rule.status().message().find(bad.message), std::string::npos)
        << bad.text << ": " << rule.status().message();
  }
  EXPECT_EQ(ParseCron(std::string(2000, '*')).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace pitr
