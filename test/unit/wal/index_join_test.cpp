#include <gtest/gtest.h>

#include <algorithm>

#include "core/wal/index.h"
#include "core/wal/layout.h"
#include "unit/support/wal_builder.h"

namespace pitr::wal {
namespace {

constexpr RelFork kTable{1663, 5, 16384, 0};
constexpr Timestamp kNoon{1763640000000000};

class JoinTailTest : public ::testing::Test {
 protected:
  JoinTailTest() : wal(root, 1, SegmentStart(3, root.segment_size)) {}

  SegmentIndex Index(ByteView bytes, std::uint64_t number, TimelineId timeline = 1) {
    IndexBuilder builder({root, {timeline, number}});
    EXPECT_TRUE(builder.Add(bytes).ok());
    auto index = builder.Finish();
    EXPECT_TRUE(index.ok());
    return index.ok() ? *index : SegmentIndex();
  }
  std::vector<SegmentIndex> Indexes() {
    std::vector<SegmentIndex> all;
    for (std::size_t i = 0; i < wal.SegmentCount(); i++) {
      all.push_back(Index(wal.Segment(i), 3 + i));
    }
    return all;
  }

  const RootIdentity root = TestRoot();
  const Lsn end = SegmentStart(4, root.segment_size);
  WalBuilder wal;
};

TEST_F(JoinTailTest, ACommitAtTheBorderIsFoundWhereverItIsCut) {
  for (std::uint64_t room = 8; room <= 224; room += room < 40 ? 8 : 40) {
    SCOPED_TRACE(room);
    wal = WalBuilder(root, 1, SegmentStart(3, root.segment_size));
    wal.FillTo({end.value - room}).Commit(730, kNoon, {kTable}, 20);
    const Lsn start = wal.last_start();
    const Lsn record_end = wal.last_end();
    wal.Commit(731, kNoon).Switch();
    std::vector<SegmentIndex> all = Indexes();
    ASSERT_EQ(all.size(), 2U);
    SegmentIndex& first = all[0];
    ASSERT_TRUE(first.tail.present);
    EXPECT_FALSE(first.partial);
    EXPECT_TRUE(first.events.empty());
    EXPECT_EQ(all[1].events.size(), 1U);
    EXPECT_EQ(all[1].head_end, record_end);
    const std::uint64_t records = first.records;
    ASSERT_TRUE(JoinTail(&first, {&all[1]}));
    ASSERT_EQ(first.events.size(), 1U);
    EXPECT_EQ(first.events[0].start, start);
    EXPECT_EQ(first.events[0].end, record_end);
    EXPECT_EQ(first.events[0].xid, 730U);
    EXPECT_EQ(first.relation_drops.size(), 1U);
    EXPECT_EQ(first.last_start, start);
    EXPECT_EQ(first.last_end, record_end);
    EXPECT_EQ(first.records, records + 1);
    EXPECT_EQ(first.max_time, kNoon);
    EXPECT_FALSE(first.tail.present);
    EXPECT_FALSE(JoinTail(&first, {&all[1]})) << "once";
  }
}

TEST_F(JoinTailTest, BlocksOfTheJoinedRecordTakeTheirPlace) {
  wal.BlockTouch(kTable, 5).BlockTouch(kTable, 9).FillTo({end.value - 64});
  WalRecord record;
  record.resource_manager = 10;
  record.blocks = {{kTable, 7, true}, {kTable, 9, false, 30}, {{1663, 5, 1, 0}, 2, true}};
  wal.Add(record).Switch();
  std::vector<SegmentIndex> all = Indexes();
  ASSERT_TRUE(JoinTail(&all[0], {&all[1]}));
  EXPECT_EQ(all[0].blocks.at(kTable), (std::vector<std::uint32_t>{5, 7, 9}));
  EXPECT_EQ(all[0].blocks.at(RelFork{1663, 5, 1, 0}), (std::vector<std::uint32_t>{2}));
}

TEST_F(JoinTailTest, ARecordLongerThanSegmentsNeedsAllOfThem) {
  wal.Commit(729, kNoon).Filler(3U << 20).Commit(730, kNoon).Switch();
  std::vector<SegmentIndex> all = Indexes();
  ASSERT_EQ(all.size(), 4U);
  for (std::size_t i = 1; i <= 2; i++) {
    EXPECT_FALSE(all[i].partial) << all[i].end_reason;
    EXPECT_FALSE(all[i].first_start.valid());
    EXPECT_FALSE(all[i].head_end.valid());
    EXPECT_FALSE(all[i].tail.present) << "the record does not begin here";
    EXPECT_LE(all[i].head.bytes.size(), kFragmentCap);
  }
  const SegmentIndex before = all[0];
  EXPECT_FALSE(JoinTail(&all[0], {&all[1], &all[2]}));
  EXPECT_FALSE(JoinTail(&all[0], {&all[1], &all[3]}));
  EXPECT_FALSE(JoinTail(&all[0], {}));
  EXPECT_EQ(EncodeIndex(all[0]), EncodeIndex(before)) << "unchanged";
  ASSERT_TRUE(JoinTail(&all[0], {&all[1], &all[2], &all[3]}));
  EXPECT_EQ(all[0].last_end, all[3].head_end);
  EXPECT_EQ(all[0].records, 2U);
}

TEST_F(JoinTailTest, ALongCommitIsReadAsFarAsItWasKeptAndSaysSo) {
  std::vector<RelFork> drops;
  for (std::uint32_t i = 0; i < 200000; i++) {
    drops.push_back({1663, 5, 20000 + i, 0});
  }
  wal.Commit(730, kNoon, drops).Switch();
  std::vector<SegmentIndex> all = Indexes();
  ASSERT_EQ(all.size(), 3U);
  ASSERT_TRUE(JoinTail(&all[0], {&all[1], &all[2]}));
  ASSERT_EQ(all[0].events.size(), 1U);
  EXPECT_EQ(all[0].events[0].xid, 730U);
  // Of segments of 1 MiB everything fits into the fragments.
  EXPECT_FALSE(all[0].lists_cut);
  EXPECT_EQ(all[0].relation_drops.size(), 200000U);
}

TEST_F(JoinTailTest, WhatAFragmentCannotHoldIsCutAndSaid) {
  const RootIdentity large = TestRoot(15, 16U << 20);
  WalBuilder big(large, 1, SegmentStart(3, large.segment_size));
  big.FillTo({SegmentStart(4, large.segment_size).value - 4096});
  std::vector<RelFork> drops;
  for (std::uint32_t i = 0; i < 200000; i++) {
    drops.push_back({1663, 5, 20000 + i, 0});
  }
  big.Commit(730, kNoon, drops).Commit(731, kNoon).Switch();
  std::vector<SegmentIndex> all;
  for (std::size_t i = 0; i < 2; i++) {
    IndexBuilder builder({large, {1, 3 + i}});
    ASSERT_TRUE(builder.Add(big.Segment(i)).ok());
    all.push_back(*builder.Finish());
  }
  ASSERT_TRUE(JoinTail(&all[0], {&all[1]}));
  EXPECT_TRUE(all[0].lists_cut);
  EXPECT_GT(all[0].relation_drops.size(), 80000U);
  EXPECT_LT(all[0].relation_drops.size(), 200000U);
  ASSERT_EQ(all[0].events.size(), 1U);
  EXPECT_EQ(all[0].events[0].time, kNoon);
  // Where the WAL ends inside what was cut, there is no record.
  Bytes torn = big.Segment(1);
  std::fill(torn.begin() + (200 * kPageSize), torn.end(), std::uint8_t{0});
  IndexBuilder builder({large, {1, 4}});
  ASSERT_TRUE(builder.Add(torn).ok());
  const SegmentIndex partial = *builder.Finish();
  EXPECT_TRUE(partial.partial);
  IndexBuilder again({large, {1, 3}});
  ASSERT_TRUE(again.Add(big.Segment(0)).ok());
  SegmentIndex first = *again.Finish();
  EXPECT_FALSE(JoinTail(&first, {&partial}));
}

TEST_F(JoinTailTest, PiecesThatDoNotFitAreRefused) {
  wal.FillTo({end.value - 64}).Commit(730, kNoon, {kTable}, 20).Switch();
  std::vector<SegmentIndex> all = Indexes();
  const auto refused = [&](const SegmentIndex& next) {
    SegmentIndex first = all[0];
    return !JoinTail(&first, {&next});
  };
  SegmentIndex next = all[1];
  next.segment.number++;
  EXPECT_TRUE(refused(next)) << "not the next segment";
  next = all[1];
  next.root.system_identifier++;
  EXPECT_TRUE(refused(next)) << "another system";
  next = all[1];
  next.head.bytes.back() ^= 1;
  EXPECT_TRUE(refused(next)) << "the CRC does not fit";
  next = all[1];
  next.head.bytes.pop_back();
  EXPECT_TRUE(refused(next)) << "too few bytes";
  next = all[1];
  next.head.total++;
  EXPECT_TRUE(refused(next)) << "another length";
  next = all[1];
  next.head = {};
  EXPECT_TRUE(refused(next)) << "no continuation";
  SegmentIndex first = all[0];
  EXPECT_FALSE(JoinTail(&first, {nullptr}));
  first.last_start.value += 8;
  EXPECT_FALSE(JoinTail(&first, {&all[1]})) << "the link to the record before does not fit";
}

TEST_F(JoinTailTest, TheNextSegmentMayBeKnownUnderALaterTimelineOnly) {
  // Promotion in the segment that the record ended in: the old timeline has it as .partial only.
  wal.FillTo({end.value - 64}).Commit(730, kNoon, {kTable}, 20);
  wal.Timeline(2).EndOfRecovery(2, 1).Switch();
  SegmentIndex first = Index(wal.Segment(0), 3, 1);
  const SegmentIndex next = Index(wal.Segment(1), 4, 2);
  EXPECT_TRUE(JoinTail(&first, {&next}));
  SegmentIndex later = Index(wal.Segment(0), 3, 3);
  const SegmentIndex older = Index(wal.Segment(1), 4, 2);
  EXPECT_FALSE(JoinTail(&later, {&older}));
}

TEST_F(JoinTailTest, TheOnlyRecordOfASegmentIsItsFirstAndItsLast) {
  WalRecord record;
  record.resource_manager = 10;
  record.main_data.assign(1200000, 3);
  wal.Add(record).Switch();
  std::vector<SegmentIndex> all = Indexes();
  EXPECT_EQ(all[0].first_start, all[0].tail.start);
  EXPECT_FALSE(all[0].last_start.valid());
  ASSERT_TRUE(JoinTail(&all[0], {&all[1]}));
  EXPECT_EQ(all[0].first_start, all[0].last_start);
}

}  // namespace
}  // namespace pitr::wal
