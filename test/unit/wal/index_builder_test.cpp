#include "core/wal/index.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/hash.h"
#include "core/wal/layout.h"
#include "unit/support/wal_builder.h"

namespace pitr::wal {
namespace {

constexpr RelFork kTable{1663, 5, 16384, 0};
constexpr RelFork kIndex{1663, 5, 16390, 0};
constexpr Timestamp kNoon{1763640000000000};

// One segment that begins at segment `number` of timeline 1.
class IndexBuilderTest : public ::testing::Test {
 protected:
  IndexBuilderTest() : wal(root, 1, begin) {}

  Result<SegmentIndex> Build(ByteView bytes, std::size_t piece = 1U << 20,
                             std::uint64_t segment = 3, TimelineId timeline = 1) {
    IndexBuilder builder({root, {timeline, segment}});
    while (!bytes.empty()) {
      const ByteView next = bytes.first(std::min(piece, bytes.size()));
      PITR_RETURN_IF_ERROR(builder.Add(next));
      bytes = bytes.subspan(next.size());
    }
    return builder.Finish();
  }
  SegmentIndex MustBuild(ByteView bytes, std::size_t piece = 1U << 20, std::uint64_t segment = 3,
                         TimelineId timeline = 1) {
    auto index = Build(bytes, piece, segment, timeline);
    EXPECT_TRUE(index.ok()) << index.status().ToString();
    return index.ok() ? *index : SegmentIndex();
  }

  const RootIdentity root = TestRoot();
  const Lsn begin = SegmentStart(3, root.segment_size);
  const Lsn end = SegmentStart(4, root.segment_size);
  WalBuilder wal;
};

TEST_F(IndexBuilderTest, FindsEveryEventWithItsPositions) {
  std::vector<std::pair<Lsn, Lsn>> at;
  const auto note = [&] { at.emplace_back(wal.last_start(), wal.last_end()); };
  wal.Commit(730, kNoon);
  note();
  wal.Commit(731, {kNoon.micros + 5}, {kTable}, 3);
  note();
  wal.Abort(732, {kNoon.micros - 7});
  note();
  wal.Prepare(733, {kNoon.micros + 1}, "gid one");
  note();
  wal.CommitPrepared(733, {kNoon.micros + 9}, "gid one");
  note();
  wal.AbortPrepared(734, {kNoon.micros + 3});
  note();
  wal.RestorePoint("before the mistake", {kNoon.micros + 99});
  note();
  wal.Switch();

  const SegmentIndex index = MustBuild(wal.Bytes());
  ASSERT_EQ(index.events.size(), 7U);
  const EventKind kinds[] = {EventKind::kCommit,         EventKind::kCommit,
                             EventKind::kAbort,          EventKind::kPrepare,
                             EventKind::kCommitPrepared, EventKind::kAbortPrepared,
                             EventKind::kRestorePoint};
  const Xid xids[] = {730, 731, 732, 733, 733, 734, 0};
  const std::int64_t times[] = {0, 5, -7, 1, 9, 3, 99};
  const std::string names[] = {"", "", "", "gid one", "gid one", "", "before the mistake"};
  for (std::size_t i = 0; i < index.events.size(); i++) {
    SCOPED_TRACE(i);
    EXPECT_EQ(index.events[i].kind, kinds[i]);
    EXPECT_EQ(index.events[i].xid, xids[i]);
    EXPECT_EQ(index.events[i].time.micros, kNoon.micros + times[i]);
    EXPECT_EQ(index.events[i].name, names[i]);
    EXPECT_EQ(index.events[i].start, at[i].first);
    EXPECT_EQ(index.events[i].end, at[i].second);
  }
  EXPECT_EQ(index.min_time.micros, kNoon.micros - 7);
  EXPECT_EQ(index.max_time.micros, kNoon.micros + 9) << "restore points do not count";
  ASSERT_EQ(index.relation_drops.size(), 1U);
  EXPECT_EQ(index.relation_drops[0].relation, kTable);
  EXPECT_EQ(index.relation_drops[0].start, at[1].first);
}

TEST_F(IndexBuilderTest, GathersBlocksSortedAndOnce) {
  const RelFork map{1663, 5, 16384, 2};
  for (const std::uint32_t block : {9U, 2U, 9U, 0xFFFFFFFEU, 2U}) {
    wal.BlockTouch(kTable, block);
  }
  wal.BlockTouch(map, 0, true).BlockTouch(kIndex, 3).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  ASSERT_EQ(index.blocks.size(), 3U);
  EXPECT_EQ(index.blocks.at(kTable), (std::vector<std::uint32_t>{2, 9, 0xFFFFFFFE}));
  EXPECT_EQ(index.blocks.at(map), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(index.blocks.at(kIndex), (std::vector<std::uint32_t>{3}));
}

TEST_F(IndexBuilderTest, SaysTheSameHoweverTheBytesArrive) {
  for (std::uint32_t i = 0; wal.next() < begin + 900000; i++) {
    wal.BlockTouch(kTable, i * 7, i % 5 == 0).Commit(1000 + i, {kNoon.micros + i});
  }
  wal.Switch();
  const Bytes whole = EncodeIndex(MustBuild(wal.Bytes()));
  for (const std::size_t piece : {std::size_t{1}, std::size_t{24}, std::size_t{4096},
                                  std::size_t{8191}, std::size_t{8193}, std::size_t{100000}}) {
    EXPECT_EQ(EncodeIndex(MustBuild(wal.Bytes(), piece)), whole) << piece;
  }
}

TEST_F(IndexBuilderTest, ASwitchEndsTheSegmentWithoutMakingItPartial) {
  wal.Commit(730, kNoon).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_FALSE(index.partial) << index.end_reason;
  EXPECT_EQ(index.records, 2U);
  EXPECT_EQ(index.last_start, wal.last_start());
  EXPECT_EQ(index.last_end, end);
}

TEST_F(IndexBuilderTest, NothingBehindASwitchIsRead) {
  wal.Commit(730, kNoon).Switch();
  Bytes bytes = wal.Bytes();
  bytes[bytes.size() - 1] = 0x55;
  bytes[3 * kPageSize] = 0x55;
  EXPECT_FALSE(MustBuild(bytes).partial);
}

TEST_F(IndexBuilderTest, ASwitchThatRunsIntoTheSegmentUsesItUp) {
  for (const std::uint64_t room : {8U, 16U}) {
    SCOPED_TRACE(room);
    WalBuilder two(root, 1, begin);
    two.FillTo({end.value - room}).Switch();
    ASSERT_EQ(two.SegmentCount(), 2U);
    SegmentIndex first = MustBuild(two.Segment(0));
    EXPECT_TRUE(first.tail.present);
    const SegmentIndex second = MustBuild(two.Segment(1), 1U << 20, 4);
    EXPECT_FALSE(second.partial) << second.end_reason;
    EXPECT_EQ(second.head_end, SegmentStart(5, root.segment_size));
    ASSERT_TRUE(JoinTail(&first, {&second}));
    EXPECT_EQ(first.last_end, SegmentStart(5, root.segment_size));
  }
}

TEST_F(IndexBuilderTest, WhatOnlyLooksLikeTheEndOfASwitchIsPartialWhenSomethingFollows) {
  WalBuilder two(root, 1, begin);
  two.FillTo({end.value - 16}).Switch();
  Bytes second = two.Segment(1);
  second[second.size() - 1] = 1;
  const SegmentIndex index = MustBuild(second, 1U << 20, 4);
  EXPECT_TRUE(index.partial);
  EXPECT_EQ(index.head_end, end + page::kLongHeader + 8);
}

TEST_F(IndexBuilderTest, ZeroesWhereARecordShouldBeginArePartial) {
  wal.Commit(730, kNoon);
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_TRUE(index.partial);
  EXPECT_EQ(index.records, 1U);
  EXPECT_EQ(index.last_end, wal.last_end());
  EXPECT_FALSE(index.tail.present);
  EXPECT_NE(index.end_reason.find(wal.last_end().ToString()), std::string::npos)
      << index.end_reason;
}

TEST_F(IndexBuilderTest, InputThatEndsEarlyIsPartialWhereverItEnds) {
  for (std::uint32_t i = 0; i < 40; i++) {
    wal.BlockTouch(kTable, i, i % 4 == 0).Commit(700 + i, kNoon);
  }
  const Bytes bytes = wal.Bytes();
  const std::size_t written = wal.last_end() - begin;
  std::uint64_t before = 0;
  for (std::size_t size = 0; size < written; size += 247) {
    const SegmentIndex index = MustBuild(ByteView(bytes).first(size));
    EXPECT_TRUE(index.partial);
    EXPECT_FALSE(index.tail.present);
    EXPECT_GE(index.records, before);
    before = index.records;
  }
  EXPECT_EQ(MustBuild(ByteView(bytes).first(written)).records, 80U);
}

TEST_F(IndexBuilderTest, AnEmptySegmentIsPartialAndEmpty) {
  const SegmentIndex none = MustBuild({});
  EXPECT_TRUE(none.partial);
  EXPECT_EQ(none.records, 0U);
  const SegmentIndex zero = MustBuild(Bytes(root.segment_size, 0));
  EXPECT_TRUE(zero.partial);
  EXPECT_FALSE(zero.first_start.valid());
}

TEST_F(IndexBuilderTest, ARecordWithAWrongCrcEndsTheWal) {
  wal.Commit(730, kNoon).BlockTouch(kTable, 1);
  const Lsn bad = wal.last_start();
  wal.Commit(731, kNoon).Switch();
  Bytes bytes = wal.Bytes();
  bytes[bad - begin + 40] ^= 1;
  const SegmentIndex index = MustBuild(bytes);
  EXPECT_TRUE(index.partial);
  EXPECT_EQ(index.records, 1U);
  EXPECT_EQ(index.last_end, bad);
  EXPECT_TRUE(index.blocks.empty());
}

TEST_F(IndexBuilderTest, ARecordThatRunsOverAPageIsCheckedToo) {
  wal.BlockTouch(kTable, 1, true).BlockTouch(kTable, 2, true);
  const Lsn bad = wal.last_start();
  wal.Switch();
  Bytes bytes = wal.Bytes();
  bytes[2 * kPageSize - 5] ^= 1;
  const SegmentIndex index = MustBuild(bytes);
  EXPECT_TRUE(index.partial);
  EXPECT_EQ(index.last_end, bad);
}

TEST_F(IndexBuilderTest, OldContentOfARecycledFileEndsTheWal) {
  // The file was segment 1 before; the server has written its first two pages anew.
  WalBuilder old(root, 1, SegmentStart(1, root.segment_size));
  for (int i = 0; i < 200; i++) {
    old.BlockTouch(kIndex, 1, true);
  }
  wal.FillTo(begin + 2 * kPageSize + page::kShortHeader);
  const Bytes fresh = wal.Bytes();
  Bytes bytes = old.Segment(0);
  std::copy_n(fresh.begin(), 2 * kPageSize, bytes.begin());
  const SegmentIndex index = MustBuild(bytes);
  EXPECT_TRUE(index.partial);
  EXPECT_TRUE(index.blocks.empty());
  EXPECT_NE(index.end_reason.find("recycled"), std::string::npos) << index.end_reason;
}

TEST_F(IndexBuilderTest, AFileOverwrittenForALaterSegmentIsForeign) {
  // Renamed and written again while somebody read it (internals 28).
  for (int i = 0; i < 100; i++) {
    wal.BlockTouch(kTable, 1, true);
  }
  WalBuilder later(root, 1, SegmentStart(9, root.segment_size));
  for (int i = 0; i < 100; i++) {
    later.BlockTouch(kTable, 1, true);
  }
  Bytes bytes = wal.Segment(0);
  const Bytes other = later.Segment(0);
  std::copy(other.begin() + 4 * kPageSize, other.end(), bytes.begin() + 4 * kPageSize);
  const auto index = Build(bytes);
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.status().code(), Code::kForeign);
  EXPECT_NE(index.status().message().find("0/908000"), std::string::npos)
      << index.status().ToString();
}

TEST_F(IndexBuilderTest, WalOfAnotherSystemMajorOrSegmentSizeIsForeign) {
  wal.Commit(730, kNoon).Switch();
  const auto expect_foreign = [&](const RootIdentity& other, const std::string& text) {
    IndexBuilder builder({other, {1, 3}});
    const Status status = builder.Add(ByteView(wal.Bytes()).first(kPageSize));
    EXPECT_EQ(status.code(), Code::kForeign) << status.ToString();
    EXPECT_NE(status.message().find(text), std::string::npos) << status.ToString();
  };
  RootIdentity other = root;
  other.system_identifier = 42;
  expect_foreign(other, "7123456789012345678, expected 42");
  other = root;
  other.server_major = 17;
  expect_foreign(other, "0xD110 (PostgreSQL 15), expected 0xD116");
  // The same address, twice the size.
  IndexBuilder builder({{root.system_identifier, 15, 3U << 20}, {1, 1}});
  EXPECT_EQ(builder.Add(wal.Bytes()).code(), Code::kInvalidArgument) << "no power of two";
}

TEST_F(IndexBuilderTest, TheWrongSegmentOrALaterTimelineIsForeign) {
  wal.Commit(730, kNoon).Switch();
  EXPECT_EQ(Build(wal.Bytes(), 1U << 20, 2).status().code(), Code::kForeign);
  WalBuilder second(root, 2, begin);
  second.Commit(730, kNoon).Switch();
  EXPECT_EQ(Build(second.Bytes(), 1U << 20, 3, 1).status().code(), Code::kForeign);
}

TEST_F(IndexBuilderTest, AnUnknownMajorIsUnsupported) {
  IndexBuilder builder({{1, 14, 1U << 20}, {1, 3}});
  EXPECT_EQ(builder.Add(Bytes(kPageSize, 0)).code(), Code::kUnsupported);
}

TEST_F(IndexBuilderTest, MoreBytesThanASegmentAreRefused) {
  wal.Commit(730, kNoon).Switch();
  IndexBuilder builder({root, {1, 3}});
  ASSERT_TRUE(builder.Add(wal.Bytes()).ok());
  EXPECT_EQ(builder.Add(Bytes(1, 0)).code(), Code::kInvalidArgument);
}

TEST_F(IndexBuilderTest, ATimelineMayBeginInsideTheSegment) {
  wal.Commit(730, kNoon).BlockTouch(kTable, 4, true);
  wal.Timeline(2).EndOfRecovery(2, 1);
  for (int i = 0; i < 5; i++) {
    wal.BlockTouch(kIndex, 4, true);
  }
  wal.Checkpoint(begin + 100, true).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes(), 1U << 20, 3, 2);
  EXPECT_FALSE(index.partial) << index.end_reason;
  ASSERT_EQ(index.checkpoints.size(), 2U);
  EXPECT_TRUE(index.checkpoints[0].end_of_recovery);
  EXPECT_EQ(index.checkpoints[0].timeline, 2U);
  EXPECT_EQ(index.checkpoints[0].previous_timeline, 1U);
  EXPECT_FALSE(index.checkpoints[0].redo.valid());
  EXPECT_TRUE(index.checkpoints[1].shutdown);
  EXPECT_EQ(index.checkpoints[1].redo, begin + 100);
}

TEST_F(IndexBuilderTest, TimelinesNeverGoBack) {
  wal.Timeline(2);
  wal.BlockTouch(kTable, 4, true).BlockTouch(kTable, 5, true);
  wal.Timeline(1);
  wal.BlockTouch(kTable, 6, true).BlockTouch(kTable, 7, true).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes(), 1U << 20, 3, 2);
  EXPECT_TRUE(index.partial);
  EXPECT_EQ(index.blocks.at(kTable), (std::vector<std::uint32_t>{4, 5})) << "6 runs into the page";
}

TEST_F(IndexBuilderTest, AnAbortedRecordIsPassedOver) {
  wal.Commit(730, kNoon).FillTo(begin + (kPageSize - 64));
  WalRecord lost;
  lost.resource_manager = 10;
  lost.blocks = {{kTable, 77, true}};
  wal.BreakOff(lost).Commit(731, kNoon).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_FALSE(index.partial) << index.end_reason;
  EXPECT_EQ(index.events.size(), 2U);
  EXPECT_TRUE(index.blocks.empty());
}

TEST_F(IndexBuilderTest, AnAbortedRecordAtTheEndOfTheSegmentIsNeverJoined) {
  wal.FillTo({end.value - 64});
  const Lsn before = wal.last_start();
  WalRecord lost;
  lost.resource_manager = 10;
  lost.blocks = {{kTable, 77, true}};
  wal.BreakOff(lost).Commit(731, kNoon).Switch();
  SegmentIndex first = MustBuild(wal.Segment(0));
  const SegmentIndex second = MustBuild(wal.Segment(1), 1U << 20, 4);
  EXPECT_TRUE(first.tail.present);
  EXPECT_FALSE(second.head.present);
  EXPECT_FALSE(second.partial) << second.end_reason;
  EXPECT_EQ(second.events.size(), 1U);
  EXPECT_FALSE(JoinTail(&first, {&second}));
  EXPECT_EQ(first.last_start, before);
  EXPECT_TRUE(first.tail.present);
}

TEST_F(IndexBuilderTest, AnAbortedContinuationIsNoHead) {
  // A record longer than what was left of the segment before, lost in the second page of this one.
  wal.FillTo({end.value - 64});
  wal.Filler(20000);
  Bytes bytes = wal.Segment(1);
  WalBuilder second(root, 1, end);
  second.FillTo(end + kPageSize + page::kShortHeader);
  // Pages of `second` from the second on, marked as written in place of the rest.
  second.Commit(740, kNoon).Switch();
  const Bytes other = second.Bytes();
  std::copy(other.begin() + kPageSize, other.end(), bytes.begin() + kPageSize);
  bytes[kPageSize + page::kInfo] |= page::kFirstIsOverwrite;
  const SegmentIndex index = MustBuild(bytes, 1U << 20, 4);
  EXPECT_FALSE(index.head.present);
  EXPECT_FALSE(index.partial) << index.end_reason;
  EXPECT_EQ(index.events.size(), 1U);
}

TEST_F(IndexBuilderTest, HeadersSplitByAPageAreRead) {
  for (const std::uint64_t room : {8U, 16U}) {
    WalBuilder split(root, 1, begin);
    split.FillTo(begin + (kPageSize - room)).Commit(730, kNoon).Switch();
    const SegmentIndex index = MustBuild(split.Bytes());
    EXPECT_FALSE(index.partial) << index.end_reason;
    ASSERT_EQ(index.events.size(), 1U) << room;
    EXPECT_EQ(index.events[0].start, begin + (kPageSize - room));
  }
}

TEST_F(IndexBuilderTest, ARecordThatEndsWithThePageEndsAtThePage) {
  wal.FillTo(begin + kPageSize + page::kShortHeader).Commit(730, kNoon).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_FALSE(index.partial);
  ASSERT_EQ(index.events.size(), 1U);
  EXPECT_EQ(index.events[0].start, begin + kPageSize + page::kShortHeader);
  WalBuilder exact(root, 1, begin);
  // 34 bytes of commit, 40 with padding.
  exact.FillTo(begin + (kPageSize - 40)).Commit(730, kNoon).Commit(731, kNoon).Switch();
  const SegmentIndex at_border = MustBuild(exact.Bytes());
  ASSERT_EQ(at_border.events.size(), 2U);
  EXPECT_EQ(at_border.events[0].end, begin + kPageSize);
  EXPECT_EQ(at_border.events[1].start, begin + kPageSize + page::kShortHeader);
}

TEST_F(IndexBuilderTest, KeepsSettingsDatabasesTruncationsAndCreations) {
  ParameterChange change;
  change.max_connections = 200;
  change.max_worker_processes = 9;
  change.max_wal_senders = 11;
  change.max_prepared_transactions = 12;
  change.max_locks_per_transaction = 65;
  change.wal_level = 2;
  change.track_commit_timestamp = true;
  wal.Parameters(change)
      .DatabaseCopied(16500, 1663)
      .DatabaseLogged(16501, 1663)
      .DatabaseDropped(16500, {1663, 16600})
      .Create({1663, 5, 17000, 3})
      .Truncate(kTable, 12, 5)
      .Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  ASSERT_EQ(index.parameter_changes.size(), 1U);
  const ParameterChange& c = index.parameter_changes[0];
  EXPECT_EQ(c.max_connections, 200);
  EXPECT_EQ(c.max_worker_processes, 9);
  EXPECT_EQ(c.max_wal_senders, 11);
  EXPECT_EQ(c.max_prepared_transactions, 12);
  EXPECT_EQ(c.max_locks_per_transaction, 65);
  EXPECT_EQ(c.wal_level, 2);
  EXPECT_FALSE(c.wal_log_hints);
  EXPECT_TRUE(c.track_commit_timestamp);
  ASSERT_EQ(index.database_events.size(), 4U);
  EXPECT_EQ(index.database_events[0].kind, DatabaseEventKind::kCreateFileCopy);
  EXPECT_EQ(index.database_events[1].kind, DatabaseEventKind::kCreateWalLog);
  EXPECT_EQ(index.database_events[1].database, 16501U);
  EXPECT_EQ(index.database_events[3].kind, DatabaseEventKind::kDrop);
  EXPECT_EQ(index.database_events[3].database, 16500U);
  EXPECT_EQ(index.database_events[3].tablespace, 16600U);
  ASSERT_EQ(index.relation_creates.size(), 1U);
  EXPECT_EQ(index.relation_creates[0].relation.fork, 3);
  ASSERT_EQ(index.truncations.size(), 1U);
  EXPECT_EQ(index.truncations[0].blocks, 12U);
  EXPECT_EQ(index.truncations[0].flags, 5U);
  EXPECT_FALSE(index.unexplained_changes);
}

TEST_F(IndexBuilderTest, NamesCustomResourceManagersAndWhatTheyMayHaveChanged) {
  WalRecord record;
  record.main_data.assign(10, 1);
  for (const int id : {200, 128, 200}) {
    record.resource_manager = static_cast<std::uint8_t>(id);
    wal.Add(record);
  }
  WalBuilder with_flag = wal;
  wal.Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_EQ(index.custom_resource_managers, (std::vector<std::uint8_t>{128, 200}));
  EXPECT_FALSE(index.unexplained_changes);
  record.info = record::kSpecialRelationUpdate;
  with_flag.Add(record).Switch();
  EXPECT_TRUE(MustBuild(with_flag.Bytes()).unexplained_changes);
}

TEST_F(IndexBuilderTest, ARecordOfNoResourceManagerEndsTheWal) {
  WalRecord record;
  record.resource_manager = 60;
  record.main_data.assign(10, 1);
  wal.Commit(730, kNoon).Add(record).Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_TRUE(index.partial);
  EXPECT_EQ(index.records, 1U);
}

TEST_F(IndexBuilderTest, ARecordWithARightCrcThatMakesNoSenseEndsTheWalAndSaysSo) {
  WalRecord record;
  record.resource_manager = rmgr::kStorage;
  record.info = smgr::kTruncate;
  record.main_data.assign(3, 1);
  wal.Commit(730, kNoon).Add(record);
  const Lsn bad = wal.last_start();
  wal.Switch();
  const SegmentIndex index = MustBuild(wal.Bytes());
  EXPECT_TRUE(index.partial);
  EXPECT_NE(index.end_reason.find("decoded at " + bad.ToString()), std::string::npos)
      << index.end_reason;
}

TEST_F(IndexBuilderTest, EveryMajorIsReadWithItsOwnSizes) {
  for (const std::uint32_t major : {15U, 16U, 17U, 18U}) {
    SCOPED_TRACE(major);
    const RootIdentity other = TestRoot(major);
    WalBuilder one(other, 1, begin);
    one.Commit(730, kNoon, {kTable, kIndex}, 2).Switch();
    IndexBuilder builder({other, {1, 3}});
    ASSERT_TRUE(builder.Add(one.Bytes()).ok());
    const auto index = builder.Finish();
    ASSERT_TRUE(index.ok());
    EXPECT_FALSE(index->partial) << index->end_reason;
    EXPECT_EQ(index->relation_drops.size(), 2U);
    EXPECT_EQ(index->page_magic, PageMagic(major));
  }
}

TEST_F(IndexBuilderTest, ACommitLongerThanThePiecesKeptIsReadWhole) {
  // 100,000 drops are 1.2 MB: more than a fragment, less than a segment of 16 MiB.
  const RootIdentity large = TestRoot(15, 16U << 20);
  const Lsn start = SegmentStart(3, large.segment_size);
  WalBuilder big(large, 1, start);
  std::vector<RelFork> drops;
  for (std::uint32_t i = 0; i < 100000; i++) {
    drops.push_back({1663, 5, 20000 + i, 0});
  }
  big.Commit(730, kNoon, drops).Switch();
  IndexBuilder builder({large, {1, 3}});
  ASSERT_TRUE(builder.Add(big.Bytes()).ok());
  const auto index = builder.Finish();
  ASSERT_TRUE(index.ok());
  EXPECT_FALSE(index->partial) << index->end_reason;
  EXPECT_EQ(index->relation_drops.size(), 100000U);
  EXPECT_FALSE(index->lists_cut);
}

}  // namespace
}  // namespace pitr::wal
