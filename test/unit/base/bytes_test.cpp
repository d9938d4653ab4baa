#include "core/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace pitr {
namespace {

TEST(BytesTest, IntegersAreLittleEndian) {
  Bytes bytes;
  ByteWriter writer(&bytes);
  writer.U8(0x01);
  writer.U16(0x0203);
  writer.U32(0x04050607);
  writer.U64(0x08090A0B0C0D0E0F);
  EXPECT_EQ(writer.size(), 15U);
  EXPECT_EQ(bytes, (Bytes{0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0F, 0x0E, 0x0D, 0x0C, 0x0B,
                          0x0A, 0x09, 0x08}));
  ByteReader reader(bytes);
  EXPECT_EQ(reader.U8(), 0x01);
  EXPECT_EQ(reader.U16(), 0x0203);
  EXPECT_EQ(reader.U32(), 0x04050607U);
  EXPECT_EQ(reader.U64(), 0x08090A0B0C0D0E0FU);
  EXPECT_TRUE(reader.AtEnd());
}

TEST(BytesTest, VarintsOfEverySizeComeBack) {
  for (int shift = 0; shift < 64; shift++) {
    for (const std::uint64_t near : {-1, 0, 1}) {
      const std::uint64_t value = (std::uint64_t{1} << shift) + near;
      Bytes bytes;
      ByteWriter(&bytes).Varint(value);
      EXPECT_LE(bytes.size(), 10U);
      ByteReader reader(bytes);
      EXPECT_EQ(reader.Varint(), value);
      EXPECT_TRUE(reader.AtEnd());
    }
  }
  Bytes bytes;
  ByteWriter(&bytes).Varint(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(bytes.size(), 10U);
}

TEST(BytesTest, SmallNegativeNumbersAreShortAndExtremesComeBack) {
  Bytes bytes;
  ByteWriter(&bytes).Signed(-64);
  EXPECT_EQ(bytes.size(), 1U);
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    Bytes packed;
    ByteWriter(&packed).Signed(value);
    ByteReader reader(packed);
    EXPECT_EQ(reader.Signed(), value);
    EXPECT_TRUE(reader.AtEnd());
  }
}

TEST(BytesTest, TextAndRawBytesComeBack) {
  Bytes bytes;
  ByteWriter writer(&bytes);
  writer.Text("");
  writer.Text(std::string(300, 'x'));
  writer.Raw(AsBytes("tail"));
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Text(0), "");
  EXPECT_EQ(reader.Text(300), std::string(300, 'x'));
  EXPECT_EQ(reader.position(), 303U);
  EXPECT_EQ(AsText(reader.Raw(4)), "tail");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(BytesTest, ReadingBeyondTheEndIsStickyAndGivesZeros) {
  const Bytes bytes = {1, 2, 3};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.U32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0);
  EXPECT_EQ(reader.Varint(), 0U);
  EXPECT_TRUE(reader.Raw(0).empty());
  EXPECT_EQ(reader.Text(10), "");
  EXPECT_FALSE(reader.AtEnd());
}

TEST(BytesTest, VarintThatIsTooBigTooLongOrUnfinishedIsRefused) {
  const Bytes cases[] = {
      {0x80},                                                        // unfinished
      {0x80, 0x00},                                                  // zero in two bytes
      {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02},  // 65 bits
      {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0x00},
  };
  for (const Bytes& bytes : cases) {
    ByteReader reader(bytes);
    EXPECT_EQ(reader.Varint(), 0U);
    EXPECT_FALSE(reader.ok());
  }
}

TEST(BytesTest, TextLongerThanAllowedOrThanTheRangeIsRefused) {
  Bytes bytes;
  ByteWriter(&bytes).Text("abcdef");
  ByteReader capped(bytes);
  EXPECT_EQ(capped.Text(5), "");
  EXPECT_FALSE(capped.ok());
  bytes.pop_back();
  ByteReader cut(bytes);
  EXPECT_EQ(cut.Text(100), "");
  EXPECT_FALSE(cut.ok());
}

TEST(BytesTest, CountThatTheRestCannotHoldIsRefused) {
  Bytes bytes;
  ByteWriter writer(&bytes);
  writer.Varint(3);
  writer.Raw(Bytes(11));
  ByteReader tight(bytes);
  EXPECT_EQ(tight.Count(4), 0U);
  EXPECT_FALSE(tight.ok());
  bytes.push_back(0);
  ByteReader enough(bytes);
  EXPECT_EQ(enough.Count(4), 3U);
  EXPECT_TRUE(enough.ok());

  Bytes huge;
  ByteWriter(&huge).Varint(std::numeric_limits<std::uint64_t>::max());
  ByteReader reader(huge);
  EXPECT_EQ(reader.Count(0), 0U);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace pitr
