#include "core/codec/compress.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

namespace pitr {
namespace {

constexpr std::uint64_t kNoCap = std::numeric_limits<std::uint64_t>::max();

// Half text that compresses, half noise that does not.
Bytes Sample(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < size; i++) {
    state = state * 1664525 + 1013904223;
    bytes[i] = i / 4096 % 2 == 0 ? static_cast<std::uint8_t>("abcdefgh"[i % 8])
                                 : static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

Bytes Packed(Compressor* compressor, ByteView plain, std::size_t piece) {
  Bytes packed;
  for (std::size_t at = 0; at < plain.size(); at += piece) {
    EXPECT_TRUE(
        compressor->Add(plain.subspan(at, std::min(piece, plain.size() - at)), &packed).ok());
  }
  EXPECT_TRUE(compressor->Finish(&packed).ok());
  return packed;
}

Status Unpack(ByteView packed, bool stored, std::uint64_t cap, std::size_t piece, Bytes* out) {
  Decompressor decompressor(stored, cap);
  for (std::size_t at = 0; at < packed.size(); at += piece) {
    PITR_RETURN_IF_ERROR(
        decompressor.Add(packed.subspan(at, std::min(piece, packed.size() - at)), out));
  }
  return decompressor.Finish();
}

TEST(CompressTest, StreamsComeBackAtEveryLevelSizeAndPiece) {
  for (const int level : {0, -5, 1, 3, 9}) {
    Compressor compressor(level);  // the same for all sizes: Finish() makes it new
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000},
                                   std::size_t{131072}, std::size_t{1000000}}) {
      for (const std::size_t piece : {std::size_t{7777}, std::size_t{1} << 20}) {
        const Bytes plain = Sample(size);
        const Bytes packed = Packed(&compressor, plain, piece);
        Bytes back;
        const Status status = Unpack(packed, level == 0, size, piece, &back);
        ASSERT_TRUE(status.ok()) << level << " " << size << " " << status.ToString();
        ASSERT_EQ(back, plain);
      }
    }
  }
}

TEST(CompressTest, StreamsAppendAndLevelZeroStoresAsIs) {
  Compressor compressor(0);
  Bytes out = {9};
  EXPECT_TRUE(compressor.Add(Bytes{1, 2}, &out).ok());
  EXPECT_TRUE(compressor.Finish(&out).ok());
  EXPECT_EQ(out, (Bytes{9, 1, 2}));
  EXPECT_TRUE(CompressBlock(0, Bytes{3}, &out).ok());
  EXPECT_EQ(out, (Bytes{9, 1, 2, 3}));
}

TEST(CompressTest, CompressedTextIsSmaller) {
  Compressor compressor(3);
  EXPECT_LT(Packed(&compressor, Bytes(1000000, 'x'), 1000000).size(), 1000U);
}

TEST(CompressTest, AnAnnouncedSizeThatIsNotKeptFails) {
  Compressor compressor(3);
  Bytes out;
  compressor.SetSize(10);
  EXPECT_TRUE(compressor.Add(Bytes(5), &out).ok());
  EXPECT_EQ(compressor.Finish(&out).code(), Code::kInternal);
  const Bytes plain = Sample(100);
  compressor.SetSize(100);
  Bytes back;
  EXPECT_TRUE(Unpack(Packed(&compressor, plain, 60), false, 100, 10, &back).ok());
  EXPECT_EQ(back, plain);
}

TEST(CompressTest, OutputNeverExceedsItsCap) {
  Compressor compressor(3);
  const Bytes packed = Packed(&compressor, Bytes(1000001), 1000001);
  for (const std::uint64_t cap : {0, 1, 131072, 1000000}) {
    Bytes out;
    EXPECT_EQ(Unpack(packed, false, cap, packed.size(), &out).code(), Code::kCorrupt);
    EXPECT_LE(out.size(), cap);
  }
  Bytes out;
  EXPECT_TRUE(Unpack(packed, false, kNoCap, 3, &out).ok());
  EXPECT_EQ(out.size(), 1000001U);
  out.clear();
  EXPECT_EQ(Unpack(Bytes(11), true, 10, 5, &out).code(), Code::kCorrupt);
  EXPECT_LE(out.size(), 10U);
}

TEST(CompressTest, CutDamagedOrLongerStreamsAreCorrupt) {
  Compressor compressor(3);
  const Bytes plain = Sample(50000);
  const Bytes packed = Packed(&compressor, plain, 50000);
  const ByteView view = packed;
  Bytes out;
  EXPECT_EQ(Unpack(view.first(view.size() - 1), false, kNoCap, 1000, &out).code(), Code::kCorrupt);
  EXPECT_EQ(Unpack({}, false, kNoCap, 1, &out).code(), Code::kCorrupt);
  Bytes longer = packed;
  longer.push_back(0);
  EXPECT_EQ(Unpack(longer, false, kNoCap, longer.size(), &out).code(), Code::kCorrupt);
  EXPECT_EQ(Unpack(longer, false, kNoCap, 1, &out).code(), Code::kCorrupt);
  Bytes damaged = packed;
  damaged[0] ^= 1;
  EXPECT_EQ(Unpack(damaged, false, kNoCap, 1000, &out).code(), Code::kCorrupt);
}

TEST(CompressTest, BlocksComeBack) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{8192}}) {
    const Bytes plain = Sample(size);
    Bytes packed = {7};
    ASSERT_TRUE(CompressBlock(1, plain, &packed).ok());
    Bytes back(size);
    const Status status =
        DecompressBlock(ByteView(packed).subspan(1), false, back.data(), back.size());
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(back, plain);
  }
}

TEST(CompressTest, BlocksOfAnotherSizeOrDamagedAreCorrupt) {
  Bytes packed;
  ASSERT_TRUE(CompressBlock(1, Sample(8192), &packed).ok());
  Bytes back(8193);
  EXPECT_EQ(DecompressBlock(packed, false, back.data(), 8193).code(), Code::kCorrupt);
  EXPECT_EQ(DecompressBlock(packed, false, back.data(), 8191).code(), Code::kCorrupt);
  EXPECT_EQ(DecompressBlock(ByteView(packed).first(20), false, back.data(), 8192).code(),
            Code::kCorrupt);
  EXPECT_EQ(DecompressBlock({}, false, back.data(), 0).code(), Code::kCorrupt);
  EXPECT_EQ(DecompressBlock(Bytes(5), true, back.data(), 6).code(), Code::kCorrupt);
  EXPECT_TRUE(DecompressBlock(Bytes(5, 1), true, back.data(), 5).ok());
  EXPECT_EQ(back[4], 1);
  EXPECT_TRUE(DecompressBlock({}, true, nullptr, 0).ok());
}

TEST(CompressTest, EachThreadHasItsOwnContextsAndFreesThem) {
  const Bytes plain = Sample(100000);
  const auto work = [&plain] {
    for (int i = 0; i < 20; i++) {
      Bytes packed;
      ASSERT_TRUE(CompressBlock(1, plain, &packed).ok());
      Bytes back(plain.size());
      ASSERT_TRUE(DecompressBlock(packed, false, back.data(), back.size()).ok());
      ASSERT_EQ(back, plain);
    }
  };
  std::thread first(work);
  std::thread second(work);
  first.join();
  second.join();
}

}  // namespace
}  // namespace pitr
