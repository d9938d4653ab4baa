#include "core/base/pace.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/clock.h"

namespace pitr {
namespace {

TEST(PaceTest, WithoutALimitNobodyWaits) {
  Pace pace;
  pace.Spend(1ULL << 60, [] { return false; });
}

TEST(PaceTest, WhoeverIsStoppedDoesNotWait) {
  Pace pace;
  pace.SetRate(1);
  int asked = 0;
  pace.Spend(1ULL << 40, [&] { return ++asked > 2; });
  EXPECT_EQ(asked, 3);
}

TEST(PaceTest, ALimitThatIsLiftedIsHeardOf) {
  Pace pace;
  pace.SetRate(1);
  int asked = 0;
  pace.Spend(1ULL << 40, [&] {
    if (++asked == 2) pace.SetRate(0);
    return false;
  });
  EXPECT_EQ(asked, 2);
}

TEST(PaceTest, ThreadsShareIt) {
  Pace pace;
  pace.SetRate(1000);
  const auto spend = [&] {
    for (int i = 0; i < 10; i++) {
      pace.Spend(10, [] { return false; });
    }
  };
  const std::int64_t began = SystemClock().MonotonicMillis();
  std::thread other(spend);
  spend();
  other.join();
  // 200 bytes; the last of them need not be waited for by the one who finds them paid.
  EXPECT_GE(SystemClock().MonotonicMillis() - began, 150);
}

}  // namespace
}  // namespace pitr
