#include "core/types/wal_name.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kSize = 16 * kMiB;

TEST(WalNameTest, SegmentSizesArePowersOfTwoFromOneMegabyteToOneGigabyte) {
  EXPECT_TRUE(IsValidSegmentSize(kMiB));
  EXPECT_TRUE(IsValidSegmentSize(1024 * kMiB));
  for (const std::uint64_t size : {std::uint64_t{0}, kMiB / 2, 3 * kMiB, kMiB + 1, 2048 * kMiB}) {
    EXPECT_FALSE(IsValidSegmentSize(size)) << size;
  }
}

TEST(WalNameTest, ComposesNamesAsTheServerDoes) {
  EXPECT_EQ(SegmentName({1, 1}, kSize), "000000010000000000000001");
  EXPECT_EQ(SegmentName({0xAB, 256}, kSize), "000000AB0000000100000000");
  EXPECT_EQ(SegmentName({1, 4}, 1024 * kMiB), "000000010000000100000000");
  EXPECT_EQ(SegmentName({1, 0xFFF}, kMiB), "000000010000000000000FFF");
  EXPECT_EQ(HistoryName(2), "00000002.history");
  EXPECT_EQ(HistoryName(0xFFFFFFFF), "FFFFFFFF.history");
}

TEST(WalNameTest, SegmentNumbersAndPositionsAgree) {
  const Lsn lsn = *Lsn::Parse("1/2345678");
  const std::uint64_t number = SegmentNumberOf(lsn, kSize);
  EXPECT_EQ(number, 0x102U);
  EXPECT_EQ(SegmentStart(number, kSize).ToString(), "1/2000000");
  EXPECT_EQ(SegmentName({3, number}, kSize), "000000030000000100000002");
}

TEST(WalNameTest, ParsesEveryKindThatTheServerArchives) {
  const auto segment = ParseWalFileName("0000000300000001000000FF", kSize);
  ASSERT_TRUE(segment.has_value());
  EXPECT_EQ(segment->kind, WalFileKind::kSegment);
  EXPECT_EQ(segment->timeline, 3U);
  EXPECT_EQ(segment->segment, 0x1FFU);

  const auto partial = ParseWalFileName("000000030000000100000002.partial", kSize);
  ASSERT_TRUE(partial.has_value());
  EXPECT_EQ(partial->kind, WalFileKind::kPartial);
  EXPECT_EQ(partial->segment, 0x102U);

  const auto history = ParseWalFileName("0000000A.history", kSize);
  ASSERT_TRUE(history.has_value());
  EXPECT_EQ(history->kind, WalFileKind::kHistory);
  EXPECT_EQ(history->timeline, 10U);

  const auto label = ParseWalFileName("000000010000000000000002.00000028.backup", kSize);
  ASSERT_TRUE(label.has_value());
  EXPECT_EQ(label->kind, WalFileKind::kBackupLabel);
  EXPECT_EQ(label->segment, 2U);
  EXPECT_EQ(label->backup_offset, 0x28U);
}

TEST(WalNameTest, ParsedNamesDependOnTheSegmentSize) {
  const char* name = "000000010000000000000FFF";
  EXPECT_EQ(ParseWalFileName(name, kMiB)->segment, 0xFFFU);
  EXPECT_FALSE(ParseWalFileName(name, kSize).has_value());
  EXPECT_FALSE(ParseWalFileName("000000010000000000000001", 5).has_value());
  // Offset 1 MiB lies beyond a segment of that size.
  EXPECT_FALSE(ParseWalFileName("000000010000000000000002.00100000.backup", kMiB).has_value());
  EXPECT_TRUE(ParseWalFileName("000000010000000000000002.00100000.backup", kSize).has_value());
}

TEST(WalNameTest, RefusesEverythingElse) {
  for (const char* name : {"",
                           "0",
                           "00000001",
                           "00000001000000000000000",
                           "0000000100000000000000010",
                           "00000001000000000000000a",
                           "00000001000000000000000G",
                           "000000010000000000000001.",
                           "000000010000000000000001.part",
                           "000000010000000000000001.partial.gz",
                           "000000010000000000000001.history",
                           "00000002.histor",
                           "00000002.history2",
                           "0000000g.history",
                           "000000010000000000000001.28.backup",
                           "000000010000000000000001.00000028.backu",
                           "000000010000000000000001.0000002g.backup",
                           "000000010000000000000001x00000028.backup",
                           "000000000000000000000001",
                           "00000000.history",
                           "../../../../../../../etc",
                           "000000010000000000000001 ",
                           "xlogtemp.123"}) {
    EXPECT_FALSE(ParseWalFileName(name, kSize).has_value()) << name;
  }
}

TEST(WalNameTest, TheHighestNameComesBackAtEverySegmentSize) {
  for (std::uint64_t size = kMiB; size <= 1024 * kMiB; size *= 2) {
    const std::uint64_t last = 0xFFFFFFFFFFFFFFFFU / size;
    const std::string name = SegmentName({0xFFFFFFFF, last}, size);
    const auto parsed = ParseWalFileName(name, size);
    ASSERT_TRUE(parsed.has_value()) << name;
    EXPECT_EQ(parsed->segment, last);
  }
}

}  // namespace
}  // namespace pitr
