#include "core/wal/reader.h"

#include <gtest/gtest.h>

#include "core/wal/layout.h"
#include "unit/support/wal_builder.h"

namespace pitr::wal {
namespace {

constexpr RelFork kTable{1663, 5, 16384, 0};
constexpr Timestamp kNoon{1763640000000000};

class WalkRecordsTest : public ::testing::Test {
 protected:
  std::vector<Record> Walk(ByteView bytes, Lsn* stopped, std::size_t most = 1000000) {
    std::vector<Record> records;
    const auto end = WalkRecords(bytes, begin, root, [&](const Record& record) {
      main_sizes.push_back(record.main_data.size());
      records.push_back(record);
      return records.size() < most;
    });
    EXPECT_TRUE(end.ok()) << end.status().ToString();
    *stopped = end.ok() ? *end : Lsn();
    return records;
  }

  const RootIdentity root = TestRoot();
  const Lsn begin = SegmentStart(3, root.segment_size);
  WalBuilder wal{root, 1, begin};
  std::vector<std::size_t> main_sizes;
};

TEST_F(WalkRecordsTest, VisitsEveryRecordInOrderAcrossSegments) {
  std::vector<Lsn> starts, ends;
  const auto note = [&] {
    starts.push_back(wal.last_start());
    ends.push_back(wal.last_end());
  };
  wal.Commit(730, kNoon);
  note();
  wal.BlockTouch(kTable, 5, true);
  note();
  wal.Filler(3000000);  // over segments 3, 4, 5
  note();
  wal.Switch();
  note();
  wal.Commit(731, kNoon);
  note();
  Lsn stopped;
  const std::vector<Record> records = Walk(wal.Bytes(), &stopped);
  ASSERT_EQ(records.size(), starts.size());
  for (std::size_t i = 0; i < records.size(); i++) {
    EXPECT_EQ(records[i].start, starts[i]) << i;
    EXPECT_EQ(records[i].end, ends[i]) << i;
    EXPECT_EQ(records[i].previous, i == 0 ? Lsn() : starts[i - 1]);
  }
  EXPECT_EQ(records[0].xid, 730U);
  ASSERT_EQ(records[1].blocks.size(), 1U);
  EXPECT_EQ(records[1].blocks[0].block, 5U);
  EXPECT_TRUE(records[1].blocks[0].has_image);
  EXPECT_EQ(records[2].total_length, 3000000U);
  EXPECT_EQ(main_sizes[2], 3000000U - 24 - 5) << "all of it, however long";
  EXPECT_EQ(records[3].end.value % root.segment_size, 0U) << "a switch ends with its segment";
  EXPECT_EQ(stopped, wal.last_end());
}

TEST_F(WalkRecordsTest, BeginsBehindAContinuationAndAShortLastSegmentIsFine) {
  wal.FillTo({SegmentStart(4, root.segment_size).value - 64}).Filler(20000).Commit(731, kNoon);
  const Bytes all = wal.Bytes();
  const std::size_t used = wal.last_end() - begin;
  const ByteView second = ByteView(all).first(used).subspan(root.segment_size);
  std::size_t visits = 0;
  const auto end =
      WalkRecords(second, SegmentStart(4, root.segment_size), root, [&](const Record& record) {
        EXPECT_EQ(record.xid, 731U);
        visits++;
        return true;
      });
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(visits, 1U);
  EXPECT_EQ(*end, wal.last_end());
}

TEST_F(WalkRecordsTest, StopsWhenAskedTo) {
  wal.Commit(730, kNoon);
  const Lsn first_end = wal.last_end();
  wal.Commit(731, kNoon).Switch();
  Lsn stopped;
  EXPECT_EQ(Walk(wal.Bytes(), &stopped, 1).size(), 1U);
  EXPECT_EQ(stopped, first_end);
}

TEST_F(WalkRecordsTest, WithoutRecordsItStopsWhereItBegan) {
  Lsn stopped;
  EXPECT_TRUE(Walk(Bytes(root.segment_size, 0), &stopped).empty());
  EXPECT_EQ(stopped, begin);
  EXPECT_TRUE(Walk({}, &stopped).empty());
  EXPECT_EQ(stopped, begin);
}

TEST_F(WalkRecordsTest, ASegmentOfAnotherSystemIsForeignAlsoInTheMiddle) {
  wal.Filler(1500000).Commit(730, kNoon);
  RootIdentity other = root;
  other.system_identifier = 42;
  WalBuilder strange(other, 1, begin);
  strange.Filler(1500000).Commit(730, kNoon);
  Bytes bytes = wal.Segment(0);
  const Bytes tail = strange.Segment(1);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  const auto end = WalkRecords(bytes, begin, root, [](const Record&) { return true; });
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.status().code(), Code::kForeign);
}

TEST_F(WalkRecordsTest, BeginsAtSegmentsOnly) {
  const auto end = WalkRecords({}, begin + 8192, root, [](const Record&) { return true; });
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.status().code(), Code::kInvalidArgument);
}

TEST(ResourceManagerNameTest, IsWhatPgWaldumpPrints) {
  EXPECT_STREQ(ResourceManagerName(0), "XLOG");
  EXPECT_STREQ(ResourceManagerName(1), "Transaction");
  EXPECT_STREQ(ResourceManagerName(9), "Heap2");
  EXPECT_STREQ(ResourceManagerName(10), "Heap");
  EXPECT_STREQ(ResourceManagerName(21), "LogicalMessage");
  EXPECT_STREQ(ResourceManagerName(22), "unknown");
  EXPECT_STREQ(ResourceManagerName(127), "unknown");
  EXPECT_STREQ(ResourceManagerName(128), "custom");
  EXPECT_STREQ(ResourceManagerName(255), "custom");
}

}  // namespace
}  // namespace pitr::wal
