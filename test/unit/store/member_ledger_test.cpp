#include "core/store/member_ledger.h"

#include <gtest/gtest.h>

namespace pitr {

namespace {

TEST(MemberLedger, RestsAreDoubledUpToAMinute) {
  EXPECT_EQ(RestMs(1, Code::kIo), 2000);
  EXPECT_EQ(RestMs(2, Code::kIo), 4000);
  EXPECT_EQ(RestMs(6, Code::kIo), 60'000);
  EXPECT_EQ(RestMs(1000, Code::kIo), 60'000);
  EXPECT_EQ(RestMs(3, Code::kForeign), 0);
}

TEST(MemberLedger, WhoFailedIsLeftAloneForAWhile) {
  ProcessLedger ledger;
  EXPECT_FALSE(ledger.IsResting("a"));
  ledger.Failed("a", Status(Code::kIo, "gone"));
  EXPECT_TRUE(ledger.IsResting("a"));
  EXPECT_FALSE(ledger.IsResting("b"));
  ledger.Answered("a");
  EXPECT_FALSE(ledger.IsResting("a"));
}

TEST(MemberLedger, WhoMissedSomethingIsBehind) {
  ProcessLedger ledger;
  EXPECT_FALSE(ledger.IsBehind("a", false));
  EXPECT_TRUE(ledger.IsBehind("a", true));
  ledger.Missed("a", "x", 7);
  EXPECT_TRUE(ledger.IsBehind("a", false));
  EXPECT_EQ(ledger.missed("a"), 1);
}

}  // namespace

}  // namespace pitr
