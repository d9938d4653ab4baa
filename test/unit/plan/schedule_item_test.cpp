#include "core/plan/schedule_item.h"

#include <gtest/gtest.h>

#include <string>

namespace pitr {
namespace {

Result<std::vector<ScheduleItem>> Items(const std::string& text) {
  return ParseScheduleItems((*ParseJson("{\"items\":" + text + "}", "test"))["items"]);
}

ScheduleItem Item(const std::string& text) {
  const auto items = Items("[" + text + "]");
  EXPECT_TRUE(items.ok()) << items.status().ToString();
  return items.ok() ? items->front() : ScheduleItem();
}

// Two moments behind 2026-11-20, a Friday, 10:30.
std::string NextTwo(const std::string& text) {
  const ScheduleRule rule = Item(text).rule;
  const Timestamp first = *rule.Next(*ParseRfc3339("2026-11-20T10:30:00Z"), Utc());
  return FormatTime(first, 0) + " " + FormatTime(*rule.Next(first, Utc()), 0);
}

TEST(ScheduleItem, FrequenciesOfNeon) {
  EXPECT_EQ(NextTwo(R"({"frequency":"hourly"})"), "2026-11-20T11:00:00Z 2026-11-20T12:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"daily"})"), "2026-11-21T00:00:00Z 2026-11-22T00:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"daily","hour":23})"),
            "2026-11-20T23:00:00Z 2026-11-21T23:00:00Z");
  // Monday is the first day of a week, Sunday the seventh.
  EXPECT_EQ(NextTwo(R"({"frequency":"weekly"})"), "2026-11-23T00:00:00Z 2026-11-30T00:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"weekly","day":7,"hour":4})"),
            "2026-11-22T04:00:00Z 2026-11-29T04:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"monthly"})"), "2026-12-01T00:00:00Z 2027-01-01T00:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"monthly","day":31,"hour":5})"),
            "2026-11-30T05:00:00Z 2026-12-31T05:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"yearly"})"), "2027-01-01T00:00:00Z 2028-01-01T00:00:00Z");
  EXPECT_EQ(NextTwo(R"({"frequency":"yearly","month":2,"day":31})"),
            "2027-02-28T00:00:00Z 2028-02-29T00:00:00Z");
  EXPECT_EQ(NextTwo(R"({"cron":"30 10 * * *"})"), "2026-11-21T10:30:00Z 2026-11-22T10:30:00Z");
}

TEST(ScheduleItem, WhatIsLeftOutHasAValue) {
  const ScheduleItem item = Item(R"({"frequency":"yearly","hour":null})");
  EXPECT_EQ(DumpJson(item.canonical), R"({"frequency":"yearly","hour":0,"day":1,"month":1})");
  EXPECT_FALSE(item.retention_seconds.has_value());
  EXPECT_TRUE(item.is_active_only);
  EXPECT_FALSE(item.cron.has_value());
  const ScheduleItem cron =
      Item(R"({"retention_seconds":3600,"cron":"0 5 * * *","active_only":false})");
  EXPECT_EQ(DumpJson(cron.canonical),
            R"({"cron":"0 5 * * *","retention_seconds":3600,"active_only":false})");
  EXPECT_EQ(cron.retention_seconds, 3600);
  EXPECT_EQ(cron.cron, "0 5 * * *");
  EXPECT_FALSE(cron.is_active_only);
  // What is written down is read again as the same.
  EXPECT_EQ(ParseScheduleItem(item.canonical)->canonical, item.canonical);
  EXPECT_EQ(ParseScheduleItem(cron.canonical)->canonical, cron.canonical);
}

TEST(ScheduleItem, AnEmptyListIsOne) {
  EXPECT_TRUE(Items("[]")->empty());
  EXPECT_EQ(Items(R"([{"frequency":"daily"},{"frequency":"daily","hour":1}])")->size(), 2U);
}

struct Bad {
  const char *text, *message;
};

TEST(ScheduleItem, WhatIsWrongIsSaidWithItsPlace) {
  const Bad all[] = {
      {R"({"frequency":"daily"})", "schedule is not an array"},
      {R"("daily")", "schedule is not an array"},
      {R"([5])", "schedule item 1: 5 is not an object"},
      {R"([{}])", "schedule item 1: neither frequency nor cron is given"},
      {R"([{"frequency":"daily"},{"frequency":"often"}])",
       "schedule item 2: frequency \"often\" is not known"},
      {R"([{"frequency":7}])", "frequency 7 is not known"},
      {R"([{"frequency":"daily","hour":24}])", "hour 24 is not in 0-23"},
      {R"([{"frequency":"daily","hour":-1}])", "hour -1 is not in 0-23"},
      {R"([{"frequency":"daily","hour":5.5}])", "hour 5.5 is not a whole number"},
      {R"([{"frequency":"daily","hour":"5"}])", "hour \"5\" is not a whole number"},
      {R"([{"frequency":"daily","hour":99999999999999999999}])", "is not a whole number"},
      {R"([{"frequency":"hourly","hour":5}])",
       "member \"hour\" does not go with frequency \"hourly\""},
      {R"([{"frequency":"daily","day":5}])", "member \"day\" does not go with"},
      {R"([{"frequency":"weekly","day":8}])", "day 8 is not in 1-7"},
      {R"([{"frequency":"weekly","day":0}])", "day 0 is not in 1-7"},
      {R"([{"frequency":"monthly","day":32}])", "day 32 is not in 1-31"},
      {R"([{"frequency":"monthly","month":3}])", "member \"month\" does not go with"},
      {R"([{"frequency":"yearly","month":13}])", "month 13 is not in 1-12"},
      {R"([{"frequency":"daily","retention_seconds":3599}])",
       "retention_seconds 3599 is not in 3600-"},
      {R"([{"frequency":"daily","retention_seconds":1e300}])", "is not a whole number"},
      {R"([{"frequency":"daily","retention":7}])", "member \"retention\" is not known"},
      {R"([{"frequency":"daily","active_only":1}])", "active_only 1 is not true or false"},
      {R"([{"cron":"0 5 * * *","hour":5}])", "member \"hour\" does not go with cron"},
      {R"([{"cron":"0 5 * * *","frequency":"daily"}])", "does not go with cron"},
      {R"([{"cron":5}])", "cron 5 is not a text"},
      {R"([{"frequency":"daily"},{"cron":"0 25 * * *"}])",
       "schedule item 2: cron expression \"0 25 * * *\": hour 25 is not in 0-23 at position 3"},
      {R"([{"frequency":"daily"},{"frequency":"hourly"},{"hour":0,"frequency":"daily"}])",
       "schedule item 3 says the same as item 1"},
  };
  for (const Bad& bad : all) {
    const auto items = Items(bad.text);
    EXPECT_EQ(items.status().code(), Code::kInvalidArgument) << bad.text;
    EXPECT_NE(items.status().message().find(bad.message), std::string::npos)
        << bad.text << ": " << items.status().message();
  }
  std::string many = "[";
  for (int i = 0; i < 51; i++) {
    many += (i == 0 ? "" : ",") + std::string("{\"cron\":\"") + std::to_string(i) + " * * * *\"}";
  }
  EXPECT_NE(Items(many + "]").status().message().find("51 items"), std::string::npos);
}

}  // namespace
}  // namespace pitr
