#include "core/wal/page_reader.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/support/wal_builder.h"

namespace pitr::wal {
namespace {

constexpr std::uint32_t kMiB = 1U << 20;

TEST(PayloadTest, SegmentsHoldTheirBytesWithoutPageHeaders) {
  EXPECT_EQ(SegmentPayload(kMiB), 128U * 8192 - 40 - 127 * 24);
  EXPECT_EQ(PayloadToSegmentEnd({3 * kMiB + 40}, kMiB), SegmentPayload(kMiB));
  EXPECT_EQ(PayloadToSegmentEnd({4 * kMiB - 8}, kMiB), 8U);
  EXPECT_EQ(PayloadToSegmentEnd({4 * kMiB - 8192 - 8}, kMiB), 8U + 8168);
  EXPECT_EQ(PayloadToSegmentEnd({4 * kMiB - 8192 + 24}, kMiB), 8168U);
}

TEST(PayloadTest, ContinuationsEndWhereTheirBytesEnd) {
  const Lsn start{4 * kMiB};
  EXPECT_EQ(ContinuationEnd(start, 1), start + 48);
  EXPECT_EQ(ContinuationEnd(start, 8), start + 48);
  EXPECT_EQ(ContinuationEnd(start, 8152), start + 8192);
  EXPECT_EQ(ContinuationEnd(start, 8153), start + 8192 + 32);
  EXPECT_EQ(ContinuationEnd(start, 8152 + 8168), start + 2 * 8192);
  EXPECT_EQ(ContinuationEnd(start, SegmentPayload(kMiB)), start + kMiB);
}

TEST(PayloadTest, ContinuationsEndWhereTheBuilderPutTheirEnds) {
  for (std::uint32_t total = 64; total < 40000; total += 4321) {
    const RootIdentity root = TestRoot();
    WalBuilder wal(root, 1, {3 * kMiB});
    wal.FillTo({4 * kMiB - 40}).Filler(total / 8 * 8);
    EXPECT_EQ(ContinuationEnd({4 * kMiB}, total / 8 * 8 - 40), wal.last_end()) << total;
  }
}

class Counter final : public RecordSink {
 public:
  bool OnRecord(const RawRecord& record) override {
    lengths.push_back(record.header.total_length);
    kept.push_back(record.bytes.size());
    return lengths.size() < most;
  }
  std::vector<std::size_t> lengths, kept;
  std::size_t most = 1000;
};

class PageReaderTest : public ::testing::Test {
 protected:
  PageReaderTest() {
    options.root = TestRoot();
    options.begin = {3 * kMiB};
  }
  PageReaderOptions options;
  WalBuilder wal{TestRoot(), 1, {3 * kMiB}};
  Counter sink;
};

TEST_F(PageReaderTest, KeepsNoMoreThanAskedButChecksAll) {
  options.keep = 1000;
  wal.Filler(400).Filler(30000).Commit(5, {0}, std::vector<RelFork>(3000)).Switch();
  PageReader reader(options, &sink);
  ASSERT_TRUE(reader.Feed(wal.Bytes()).ok());
  EXPECT_FALSE(reader.ended()) << reader.end_reason();
  ASSERT_EQ(sink.lengths.size(), 4U);
  EXPECT_EQ(sink.kept[0], 400U);
  EXPECT_EQ(sink.kept[1], 1000U);
  EXPECT_EQ(sink.kept[2], sink.lengths[2]) << "commits are kept whole";
  Bytes bytes = wal.Bytes();
  bytes[25000] ^= 1;  // in what is not kept
  Counter other;
  PageReader again(options, &other);
  ASSERT_TRUE(again.Feed(bytes).ok());
  EXPECT_TRUE(again.ended());
  EXPECT_EQ(other.lengths.size(), 1U);
  EXPECT_NE(again.end_reason().find("CRC"), std::string::npos) << again.end_reason();
}

TEST_F(PageReaderTest, StopsAtTheRecordThatTheSinkRefuses) {
  sink.most = 2;
  wal.Filler(400).Filler(400).Filler(400).Switch();
  PageReader reader(options, &sink);
  ASSERT_TRUE(reader.Feed(wal.Bytes()).ok());
  EXPECT_TRUE(reader.ended());
  EXPECT_EQ(sink.lengths.size(), 2U);
}

TEST_F(PageReaderTest, GoesOnInTheSegmentAfterASwitch) {
  wal.Filler(400).Switch().Filler(800).Switch();
  PageReader reader(options, &sink);
  ASSERT_TRUE(reader.Feed(wal.Bytes()).ok());
  EXPECT_FALSE(reader.ended()) << reader.end_reason();
  EXPECT_EQ(sink.lengths.size(), 4U);
}

TEST_F(PageReaderTest, ALinkToAnotherRecordEndsTheWal) {
  wal.Filler(400);
  WalBuilder other{TestRoot(), 1, {3 * kMiB}};
  other.Filler(200).Filler(200).Filler(400);  // the third record follows another one
  Bytes bytes = wal.Bytes();
  const Bytes others = other.Bytes();
  std::copy(others.begin() + 440, others.begin() + 8192, bytes.begin() + 440);
  PageReader reader(options, &sink);
  ASSERT_TRUE(reader.Feed(bytes).ok());
  EXPECT_TRUE(reader.ended());
  EXPECT_NE(reader.end_reason().find("link"), std::string::npos) << reader.end_reason();
  EXPECT_EQ(sink.lengths.size(), 1U);
}

TEST_F(PageReaderTest, AContinuationOfAnotherLengthEndsTheWal) {
  wal.Filler(400).Filler(20000).Switch();
  Bytes bytes = wal.Bytes();
  bytes[8192 + page::kRemaining] ^= 8;
  PageReader reader(options, &sink);
  ASSERT_TRUE(reader.Feed(bytes).ok());
  EXPECT_TRUE(reader.ended());
  EXPECT_EQ(sink.lengths.size(), 1U);
}

TEST_F(PageReaderTest, AContinuationWithoutARecordEndsTheWal) {
  wal.FillTo({3 * kMiB + 8192 + 24}).Filler(400).Switch();
  Bytes bytes = wal.Bytes();
  bytes[8192 + page::kInfo] |= page::kFirstIsContinuation;
  bytes[8192 + page::kRemaining] = 40;
  PageReader reader(options, &sink);
  ASSERT_TRUE(reader.Feed(bytes).ok());
  EXPECT_TRUE(reader.ended());
}

TEST_F(PageReaderTest, FlagsThatNoServerSetsEndTheWal) {
  wal.Filler(400).Switch();
  for (const std::uint8_t flags : {std::uint8_t{0x42}, std::uint8_t{0x00}}) {
    Bytes bytes = wal.Bytes();
    bytes[page::kInfo] = flags;
    PageReader reader(options, &sink);
    ASSERT_TRUE(reader.Feed(bytes).ok());
    EXPECT_TRUE(reader.ended());
  }
  EXPECT_TRUE(sink.lengths.empty());
}

TEST_F(PageReaderTest, AnotherBlockSizeIsUnsupported) {
  wal.Filler(400).Switch();
  Bytes bytes = wal.Bytes();
  bytes[page::kBlockSize + 1] = 0x40;  // 16384
  PageReader reader(options, &sink);
  EXPECT_EQ(reader.Feed(bytes).code(), Code::kUnsupported);
}

}  // namespace
}  // namespace pitr::wal
