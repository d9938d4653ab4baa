#include "core/work/flush_times.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(FlushTimesTest, KnowsByWhenAllThatWasFlushedIsDurable) {
  FlushTimes times;
  times.Note({100}, {1});
  EXPECT_EQ(times.FlushedBy({0}).micros, 1);  // behind already at the first look
  times.Note({200}, {2});
  times.Note({300}, {3});
  EXPECT_EQ(times.FlushedBy({100}).micros, 1);
  EXPECT_EQ(times.FlushedBy({150}).micros, 1);
  EXPECT_EQ(times.FlushedBy({200}).micros, 2);
  EXPECT_EQ(times.FlushedBy({1000}).micros, 3);
}

// Nothing was flushed since: the oldest byte that is not durable is none yet.
TEST(FlushTimesTest, AnIdleServerGetsNoOlder) {
  FlushTimes times;
  times.Note({100}, {1});
  for (std::int64_t now = 2; now < 5000; now++) {
    times.Note({100}, {now});
    EXPECT_EQ(times.FlushedBy({100}).micros, now);
  }
  times.Note({200}, {5000});
  EXPECT_EQ(times.FlushedBy({100}).micros, 4999);
}

// A repository that is away for hours: looks become sparser, answers stay right to the safe side.
TEST(FlushTimesTest, LongBacklogsKeepTheFirstLookAndGetSparse) {
  FlushTimes times;
  for (std::uint64_t second = 1; second <= 100000; second++) {
    times.Note({second * 10}, {static_cast<std::int64_t>(second)});
  }
  EXPECT_EQ(times.FlushedBy({10}).micros, 1);
  const std::int64_t middle = times.FlushedBy({500000}).micros;
  EXPECT_LE(middle, 50000);
  EXPECT_GT(middle, 49000);
  EXPECT_LE(times.FlushedBy({1000000}).micros, 100000);
}

}  // namespace
}  // namespace pitr
