#include "core/base/hash.h"

#include <gtest/gtest.h>

#include <set>

namespace pitr {
namespace {

Bytes Pattern(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 12345;
  for (std::uint8_t& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

TEST(HashTest, Xxh3MatchesKnownValuesOfTheAlgorithm) {
  EXPECT_EQ(Xxh3({}), 0x2D06800538D394C2U);
  EXPECT_EQ(Xxh3(AsBytes("abc")), 0x78AF5F94892F3950U);
}

TEST(HashTest, StreamedXxh3EqualsTheWhole) {
  const Bytes bytes = Pattern(100000);
  Xxh3Stream stream;
  EXPECT_EQ(stream.Digest(), Xxh3({}));
  const ByteView view = bytes;
  std::size_t position = 0;
  for (std::size_t piece = 0; position < view.size(); piece = piece * 2 + 1) {
    const std::size_t size = std::min(piece, view.size() - position);
    stream.Update(view.subspan(position, size));
    position += size;
  }
  EXPECT_EQ(stream.Digest(), Xxh3(bytes));
}

TEST(HashTest, Sha256MatchesTheStandardsVectors) {
  EXPECT_EQ(ToHex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(ToHex(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

std::uint32_t Crc32c(ByteView bytes) { return Crc32cFin(Crc32cComp(kCrc32cInit, bytes)); }

TEST(HashTest, Crc32cMatchesTheVectorsOfRfc3720) {
  EXPECT_EQ(Crc32c({}), 0U);
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xE3069283U);
  EXPECT_EQ(Crc32c(Bytes(32, 0x00)), 0x8A9136AAU);
  EXPECT_EQ(Crc32c(Bytes(32, 0xFF)), 0x62A8AB43U);
}

TEST(HashTest, Crc32cOfTheCpuEqualsTheTableAtEverySizeAndAlignment) {
  const Bytes bytes = Pattern(400);
  for (std::size_t begin = 0; begin < 9; begin++) {
    for (std::size_t size = 0; size + begin <= bytes.size(); size++) {
      const ByteView part = ByteView(bytes).subspan(begin, size);
      ASSERT_EQ(Crc32cComp(kCrc32cInit, part), Crc32cCompPortable(kCrc32cInit, part));
    }
  }
}

TEST(HashTest, Crc32cMayBeComputedInPieces) {
  const Bytes bytes = Pattern(1000);
  const ByteView view = bytes;
  const std::uint32_t first = Crc32cComp(kCrc32cInit, view.first(333));
  EXPECT_EQ(Crc32cFin(Crc32cComp(first, view.subspan(333))), Crc32c(view));
}

TEST(HashTest, HexComesBackAndIsWrittenInLowerCase) {
  const Bytes bytes = {0x00, 0x7F, 0x80, 0xFF, 0xA5};
  EXPECT_EQ(ToHex(bytes), "007f80ffa5");
  const Result<Bytes> back = FromHex("007F80ffA5");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, bytes);
  EXPECT_TRUE(FromHex("")->empty());
}

TEST(HashTest, RefusesHexThatIsNotWithoutRepeatingIt) {
  for (const char* text : {"a", "0g", "g0", "0x12", " 12", "1 ", "12\n0"}) {
    const Result<Bytes> bytes = FromHex(text);
    ASSERT_FALSE(bytes.ok()) << text;
    EXPECT_EQ(bytes.status().code(), Code::kInvalidText);
  }
  EXPECT_EQ(FromHex("secretzz").status().message().find("secret"), std::string::npos);
}

TEST(HashTest, RandomBytesHaveTheSizeAskedForAndDiffer) {
  EXPECT_TRUE(RandomBytes(0)->empty());
  std::set<Bytes> seen;
  for (int i = 0; i < 100; i++) {
    Result<Bytes> bytes = RandomBytes(16);
    ASSERT_TRUE(bytes.ok());
    EXPECT_EQ(bytes->size(), 16U);
    EXPECT_TRUE(seen.insert(*bytes).second);
  }
  EXPECT_EQ(RandomBytes(100000)->size(), 100000U);
}

}  // namespace
}  // namespace pitr
