#include "core/types/timeline.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TimelineHistory Parsed(TimelineId timeline, std::string_view text) {
  Result<TimelineHistory> history = TimelineHistory::Parse(timeline, text);
  EXPECT_TRUE(history.ok()) << history.status().ToString();
  return history.ok() ? std::move(*history) : TimelineHistory{};
}

std::string RangeText(const TimelineHistory& history, TimelineId timeline) {
  Lsn begin;
  Lsn end;
  return history.RangeOf(timeline, &begin, &end) ? begin.ToString() + ".." + end.ToString()
                                                 : "none";
}

TEST(TimelineTest, ParsesWhatTheServerWrites) {
  const TimelineHistory history = Parsed(3,
                                         "1\t0/5000148\tno recovery target specified\n"
                                         "\n"
                                         "2\t1/A0\tat restore point \"x y\"\n");
  EXPECT_EQ(history.timeline, 3U);
  ASSERT_EQ(history.ancestors.size(), 2U);
  EXPECT_EQ(history.ancestors[0].timeline, 1U);
  EXPECT_EQ(history.ancestors[0].end.ToString(), "0/5000148");
  EXPECT_EQ(history.ancestors[1].timeline, 2U);
  EXPECT_EQ(history.ancestors[1].end.ToString(), "1/A0");
}

TEST(TimelineTest, ParsesCommentsBlanksAndAMissingLastNewline) {
  const TimelineHistory history = Parsed(9, "# comment\n   \r\n  2 \t 0/10\r\n\t#1\t0/5\n7\t0/20");
  ASSERT_EQ(history.ancestors.size(), 2U);
  EXPECT_EQ(history.ancestors[1].timeline, 7U);
  EXPECT_EQ(history.ancestors[1].end.value, 0x20U);
}

TEST(TimelineTest, TheFirstTimelineHasTheEmptyHistory) {
  const TimelineHistory history = Parsed(1, "");
  EXPECT_TRUE(history.ancestors.empty());
  EXPECT_EQ(history.TimelineAt({5}), 1U);
  EXPECT_EQ(RangeText(history, 1), "0/0..0/0");
}

TEST(TimelineTest, RefusesMalformedLines) {
  for (const char* text :
       {"x", "1", "1\t", "1\t0", "1\t0/", "1\t0/0\tinvalid switch point", "1 0/1x", "10/1",
        "-1\t0/1", "4294967297\t0/1", "1\t0/1\n2", "1\t0/123456789"}) {
    const Result<TimelineHistory> history = TimelineHistory::Parse(5, text);
    ASSERT_FALSE(history.ok()) << text;
    EXPECT_EQ(history.status().code(), Code::kCorrupt);
  }
}

TEST(TimelineTest, RefusesTimelinesThatDoNotAscend) {
  for (const char* text : {"2\t0/1\n1\t0/2", "2\t0/1\n2\t0/2", "3\t0/1", "4\t0/1", "0\t0/1"}) {
    EXPECT_EQ(TimelineHistory::Parse(3, text).status().code(), Code::kCorrupt) << text;
  }
  EXPECT_FALSE(TimelineHistory::Parse(1, "1\t0/1").ok());
}

TEST(TimelineTest, RefusesAHistoryWithoutAncestorsAboveTheFirstTimeline) {
  EXPECT_EQ(TimelineHistory::Parse(2, "").status().code(), Code::kCorrupt);
  EXPECT_EQ(TimelineHistory::Parse(2, "# cut\n").status().code(), Code::kCorrupt);
}

TEST(TimelineTest, FindsTheTimelineOfAPosition) {
  const TimelineHistory history = Parsed(5, "1\t0/100\n3\t0/200\n");
  EXPECT_EQ(history.TimelineAt({0}), 1U);
  EXPECT_EQ(history.TimelineAt({0xFF}), 1U);
  EXPECT_EQ(history.TimelineAt({0x100}), 3U);
  EXPECT_EQ(history.TimelineAt({0x1FF}), 3U);
  EXPECT_EQ(history.TimelineAt({0x200}), 5U);
  EXPECT_EQ(history.TimelineAt({0xFFFFFFFF}), 5U);
}

TEST(TimelineTest, GivesTheRangeOfEachTimelineOnTheLine) {
  const TimelineHistory history = Parsed(5, "1\t0/100\n3\t0/200\n");
  EXPECT_EQ(RangeText(history, 1), "0/0..0/100");
  EXPECT_EQ(RangeText(history, 3), "0/100..0/200");
  EXPECT_EQ(RangeText(history, 5), "0/200..0/0");
  EXPECT_EQ(RangeText(history, 2), "none");
}

// What the server writes when it recovers along timeline 2 but stops before the switch to it.
TEST(TimelineTest, TheNewestSwitchWinsWhenSwitchPointsGoBack) {
  const TimelineHistory history = Parsed(3, "1\t0/200\tpromoted\n2\t0/100\tbefore timeline 2\n");
  EXPECT_EQ(history.TimelineAt({0xFF}), 1U);
  EXPECT_EQ(history.TimelineAt({0x100}), 3U);
  EXPECT_EQ(history.TimelineAt({0x250}), 3U);
  EXPECT_EQ(RangeText(history, 1), "0/0..0/100");
  EXPECT_EQ(RangeText(history, 2), "0/100..0/100");
  EXPECT_EQ(RangeText(history, 3), "0/100..0/0");
}

TEST(TimelineTest, RangesAndPositionsAgreeForEveryOrderOfSwitchPoints) {
  for (std::uint64_t code = 0; code < 4 * 4 * 4; code++) {
    TimelineHistory history;
    history.timeline = 4;
    history.ancestors = {{1, {1 + code % 4}}, {2, {1 + code / 4 % 4}}, {3, {1 + code / 16}}};
    for (std::uint64_t position = 0; position < 6; position++) {
      const TimelineId found = history.TimelineAt({position});
      for (TimelineId timeline = 1; timeline <= 4; timeline++) {
        Lsn begin;
        Lsn end;
        ASSERT_TRUE(history.RangeOf(timeline, &begin, &end));
        const bool is_open = timeline == 4;
        const bool holds = begin.value <= position && (is_open || position < end.value);
        EXPECT_EQ(holds, timeline == found) << code << " " << position << " " << timeline;
      }
    }
  }
}

}  // namespace
}  // namespace pitr
