#include "core/base/backoff.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

// The delay that a failure at `now` brings.
std::int64_t DelayAfterFailure(Backoff* backoff, std::int64_t now) {
  backoff->Failed(now);
  return backoff->WaitMs(now);
}

TEST(BackoffTest, IsDueBeforeTheFirstFailure) {
  const Backoff backoff(1000, 30000, 1);
  EXPECT_TRUE(backoff.IsDue(0));
  EXPECT_EQ(backoff.WaitMs(0), 0);
  EXPECT_EQ(backoff.failures(), 0);
}

TEST(BackoffTest, DoublesUpToTheCapLessAQuarterAtMost) {
  Backoff backoff(1000, 30000, 7);
  for (const std::int64_t whole : {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000}) {
    const std::int64_t delay = DelayAfterFailure(&backoff, 5);
    EXPECT_LE(delay, whole);
    EXPECT_GE(delay, whole - whole / 4);
  }
  EXPECT_EQ(backoff.failures(), 8);
}

TEST(BackoffTest, IsDueWhenTheDelayIsOver) {
  Backoff backoff(1000, 30000, 3);
  const std::int64_t delay = DelayAfterFailure(&backoff, 100);
  EXPECT_FALSE(backoff.IsDue(100));
  EXPECT_FALSE(backoff.IsDue(100 + delay - 1));
  EXPECT_EQ(backoff.WaitMs(100 + delay - 1), 1);
  EXPECT_TRUE(backoff.IsDue(100 + delay));
  EXPECT_EQ(backoff.WaitMs(100 + delay + 5), 0);
}

TEST(BackoffTest, ResetBeginsAnew) {
  Backoff backoff(1000, 30000, 3);
  for (int i = 0; i < 6; i++) {
    backoff.Failed(0);
  }
  backoff.Reset();
  EXPECT_TRUE(backoff.IsDue(0));
  EXPECT_EQ(backoff.failures(), 0);
  EXPECT_LE(DelayAfterFailure(&backoff, 0), 1000);
}

TEST(BackoffTest, DelaysDifferWithTheSeedAndRepeatWithTheSame) {
  Backoff a(1000, 30000, 1);
  Backoff same(1000, 30000, 1);
  Backoff b(1000, 30000, 9999);
  bool differ = false;
  for (int i = 0; i < 10; i++) {
    const std::int64_t delay = DelayAfterFailure(&a, 0);
    EXPECT_EQ(delay, DelayAfterFailure(&same, 0));
    differ |= delay != DelayAfterFailure(&b, 0);
  }
  EXPECT_TRUE(differ);
}

TEST(BackoffTest, ASeedOfZeroAndAHugeCapDoNoHarm) {
  Backoff backoff(1, INT64_MAX, 0);
  for (int i = 0; i < 200; i++) {
    backoff.Failed(0);
    EXPECT_GE(backoff.WaitMs(0), 0);
  }
}

}  // namespace
}  // namespace pitr
