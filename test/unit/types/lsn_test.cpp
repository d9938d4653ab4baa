#include "core/types/lsn.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(LsnTest, PrintsAsTheServerDoes) {
  EXPECT_EQ(Lsn{}.ToString(), "0/0");
  EXPECT_EQ(Lsn{0x16B3748}.ToString(), "0/16B3748");
  EXPECT_EQ(Lsn{0xFFFFFFFFFFFFFFFF}.ToString(), "FFFFFFFF/FFFFFFFF");
  EXPECT_EQ(Lsn{0xA00000001}.ToString(), "A/1");
}

TEST(LsnTest, ParsesBothCasesAndLeadingZeros) {
  EXPECT_EQ(Lsn::Parse("0/16b3748")->value, 0x16B3748U);
  EXPECT_EQ(Lsn::Parse("0000000A/00000001")->value, 0xA00000001U);
  EXPECT_EQ(Lsn::Parse("ffffffff/FFFFFFFF")->value, 0xFFFFFFFFFFFFFFFFU);
  EXPECT_FALSE(Lsn::Parse("0/0")->valid());
}

TEST(LsnTest, RefusesOtherTextsNamingThem) {
  for (const char* text : {"", "/", "0", "0/", "/0", "0/0/0", "000000001/0", "0/000000001", "g/0",
                           "0/ 1", " 0/1", "0/1 ", "+1/0", "0x1/0", "0/-1", "0\\1"}) {
    const Result<Lsn> lsn = Lsn::Parse(text);
    ASSERT_FALSE(lsn.ok()) << text;
    EXPECT_EQ(lsn.status().code(), Code::kInvalidText);
    EXPECT_EQ(lsn.status().message(), "invalid LSN \"" + std::string(text) + "\"");
    EXPECT_FALSE(Lsn::LooksLikeLsn(text));
  }
  EXPECT_TRUE(Lsn::LooksLikeLsn("0/1"));
}

TEST(LsnTest, ComparesAndCountsBytes) {
  const Lsn lsn = {100};
  EXPECT_LT(lsn, lsn + 1);
  EXPECT_EQ((lsn + 50) - lsn, 50U);
}

TEST(LsnTest, RangesAreHalfOpen) {
  const LsnRange range = {{10}, {20}};
  EXPECT_FALSE(range.Contains({9}));
  EXPECT_TRUE(range.Contains({10}));
  EXPECT_TRUE(range.Contains({19}));
  EXPECT_FALSE(range.Contains({20}));
}

}  // namespace
}  // namespace pitr
