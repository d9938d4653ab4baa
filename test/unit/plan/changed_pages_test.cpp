// What indexes say of a range, and when they cannot speak for all of it.
#include "core/plan/changed_pages.h"

#include <gtest/gtest.h>

#include "core/plan/increment_base.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

wal::RelFork Rel(std::uint32_t relation, std::uint8_t fork = 0) {
  return {1663, 5, relation, fork};
}

std::vector<std::uint32_t> Pages(const PageSet& set, std::uint64_t begin = 0,
                                 std::uint64_t end = 1ULL << 32) {
  std::vector<std::uint32_t> pages;
  set.Visit(begin, end, [&](std::uint32_t page) { pages.push_back(page); });
  return pages;
}

TEST(PageSet, KeepsWhatWasAdded) {
  PageSet set;
  EXPECT_TRUE(Pages(set).empty());
  for (const std::uint32_t page : {700, 0, 63, 64, 700, 65}) {
    set.Add(page);
  }
  EXPECT_EQ(Pages(set), (std::vector<std::uint32_t>{0, 63, 64, 65, 700}));
  EXPECT_EQ(Pages(set, 1, 65), (std::vector<std::uint32_t>{63, 64}));
  EXPECT_EQ(Pages(set, 64, 700), (std::vector<std::uint32_t>{64, 65}));
  EXPECT_TRUE(set.Contains(700) && !set.Contains(701) && !set.Contains(1U << 31));
}

class ChangedPagesTest : public ::testing::Test {
 protected:
  Result<ChangedPages> Read(const TestLine& line, Lsn begin, Lsn end) {
    return ReadChangedPages(*make.Open(line.id), begin, end);
  }
  // The range of everything that `line` writes from here on, shipped.
  HistoryMaker make;
};

TEST_F(ChangedPagesTest, JoinsSegmentsAndRecordsThatRunOverTheirEnds) {
  TestLine main = make.Root("main");
  main.Commit(1);
  const Lsn begin = main.wal.next();
  main.wal.BlockTouch(Rel(100), 7).BlockTouch(Rel(100, 2), 0);
  main.wal.FillTo({SegmentStart(3, make.root.segment_size).value - 64});
  main.wal.BlockTouch(Rel(101), 9, /*image=*/true);  // begins in one segment and ends in the next
  main.wal.Truncate(Rel(102), 30).Truncate(Rel(102), 20).Truncate(Rel(102), 40);
  main.wal.Truncate(Rel(103), 0, 2);  // the visibility map alone
  main.wal.Create(Rel(104)).Create(Rel(105, 2));
  main.wal.Commit(900, At(2), {Rel(106)});
  main.wal.DatabaseCopied(7, 1663).DatabaseDropped(8, {1663, 900});
  main.wal.BlockTouch(Rel(100), 8);
  const Lsn end = main.wal.next();
  main.Ship();
  const ChangedPages changed = Take(Read(main, begin, end));
  EXPECT_EQ(Pages(changed.blocks.at(Rel(100))), (std::vector<std::uint32_t>{7, 8}));
  EXPECT_EQ(Pages(changed.blocks.at(Rel(101))), (std::vector<std::uint32_t>{9}));
  EXPECT_EQ(changed.blocks.size(), 2U) << "main forks alone";
  EXPECT_EQ(changed.truncated, (std::map<wal::RelFork, std::uint32_t>{{Rel(102), 20}}));
  EXPECT_TRUE(changed.IsRemade(Rel(104)));
  EXPECT_FALSE(changed.IsRemade(Rel(105))) << "a map that was made later";
  EXPECT_TRUE(changed.IsRemade(Rel(106)));
  EXPECT_TRUE(changed.IsRemade({1663, 7, 1, 0}));
  EXPECT_TRUE(changed.IsRemade({900, 8, 1, 0}));
  EXPECT_FALSE(changed.IsRemade({900, 7, 1, 0}));
}

TEST_F(ChangedPagesTest, AHoleIsAGap) {
  TestLine main = make.Root("main");
  main.Commit(1);
  const Lsn begin = main.wal.next();
  main.Switch().Commit(2);
  main.Switch().Commit(3);
  main.Switch().Commit(4);
  const Lsn end = main.wal.next();
  main.Ship();
  EXPECT_TRUE(Read(main, begin, end).ok());
  EXPECT_FALSE(Read(main, begin, end + 4096).ok()) << "not shipped yet";
  make.RemoveSegment(main.id, {1, 3});
  EXPECT_EQ(Read(main, begin, end).status().code(), Code::kGap);
}

TEST_F(ChangedPagesTest, MinimalWalLevelIsAGap) {
  TestLine main = make.Root("main");
  const Lsn begin = main.wal.next();
  wal::ParameterChange change;
  change.wal_level = 1;
  main.wal.Parameters(change);
  const Lsn middle = main.wal.next();
  main.Switch().Commit(1);
  change.wal_level = 0;
  main.wal.Parameters(change);
  const Lsn end = main.wal.next();
  main.Ship();
  EXPECT_TRUE(Read(main, begin, middle).ok());
  EXPECT_EQ(Read(main, begin, end).status().code(), Code::kGap);
}

// A crash cut the record off, and nobody will ever replay it.
TEST_F(ChangedPagesTest, ARecordThatWasGivenUpIsNoGap) {
  TestLine main = make.Root("main");
  main.Commit(1);
  const Lsn begin = main.wal.next();
  main.wal.FillTo({SegmentStart(3, make.root.segment_size).value - 64});
  wal::WalRecord record;
  record.blocks = {{Rel(100), 3, true, 0}};
  main.wal.BreakOff(record);
  main.wal.BlockTouch(Rel(100), 4);
  const Lsn end = main.wal.next();
  main.Ship();
  const ChangedPages changed = Take(Read(main, begin, end));
  EXPECT_EQ(Pages(changed.blocks.at(Rel(100))), (std::vector<std::uint32_t>{4}));
}

// ---- what to base it on ----

class IncrementBaseTest : public ::testing::Test {
 protected:
  // A snapshot that begins here.
  Manifest Next(const TestLine& line) {
    Manifest next = make.snapshot_model;
    next.id = "sn-next";
    next.branch = line.id;
    next.root = make.root;
    next.timeline = line.timeline;
    next.start_lsn = line.wal.next();
    return next;
  }
  IncrementChoice Choose(const Manifest& next) {
    return Take(ChooseIncrementBase(make.repo(), make.set, next));
  }
  void ExpectFull(const Manifest& next, const std::string& why) {
    const IncrementChoice choice = Choose(next);
    EXPECT_FALSE(choice.base.has_value());
    EXPECT_NE(choice.why_full.find(why), std::string::npos) << choice.why_full;
  }
  void ExpectBase(const Manifest& next, const SnapshotId& base) {
    const IncrementChoice choice = Choose(next);
    ASSERT_TRUE(choice.base.has_value()) << choice.why_full;
    EXPECT_EQ(choice.base->manifest.id, base);
  }
  HistoryMaker make;
};

TEST_F(IncrementBaseTest, TheNewestBeforeItWithAllWal) {
  TestLine main = make.Root("main");
  main.Commit(1);
  main.Ship();
  ExpectFull(Next(main), "none before");
  main.Snapshot(5);
  const SnapshotId newest = main.Snapshot(10);
  main.Commit(11);
  main.wal.BlockTouch(Rel(100), 5);
  const Manifest next = Next(main);
  ExpectFull(next, "beyond");
  main.Ship();
  ExpectBase(next, newest);
  EXPECT_TRUE(Choose(next).base->changed.blocks.at(Rel(100)).Contains(5));
}

TEST_F(IncrementBaseTest, OneThatDoesNotFitIsNone) {
  TestLine main = make.Root("main");
  main.Commit(1);
  const SnapshotId base = main.Snapshot(5);
  main.Commit(6);
  main.Ship();
  const Manifest next = Next(main);
  ExpectBase(next, base);
  Manifest other = next;
  other.control.data_checksum_version = 1 - next.control.data_checksum_version;
  ExpectFull(other, "checksums were switched");
  other = next;
  other.from_standby = true;
  ExpectFull(other, "taken on the primary");
  other = next;
  other.timeline = 2;
  ExpectFull(other, "timeline 2");
  other = next;
  other.branch = "br-unknown-1";
  ExpectFull(other, "br-unknown-1");
}

TEST_F(IncrementBaseTest, AHoleAndADamagedManifestMakeItFull) {
  TestLine main = make.Root("main");
  const SnapshotId base = main.Snapshot(5);
  main.Switch().Commit(6);
  main.Switch().Commit(7);
  main.Ship();
  const Manifest next = Next(main);
  ExpectBase(next, base);
  const std::string name = layout::ManifestObject(base);
  const Bytes whole = make.objects()->objects.at(name);
  make.objects()->objects.at(name)[whole.size() / 3] ^= 1;
  ExpectFull(next, "");
  make.objects()->objects.at(name) = whole;
  make.RemoveSegment(main.id, {1, SegmentNumberOf(next.start_lsn, make.root.segment_size) - 1});
  ExpectFull(next, "");
}

// A restored server goes on from the snapshots of the line that it left, as far as they lie before the fork.
TEST_F(IncrementBaseTest, AcrossARestore) {
  TestLine main = make.Root("main");
  const SnapshotId before = main.Snapshot(5);
  const Moment fork = main.Commit(10);
  main.wal.BlockTouch(Rel(100), 1);
  main.Snapshot(15);
  main.Ship();
  TestLine back = make.RestoreOver(main, "main_old", main, fork, 2, 20);
  back.wal.BlockTouch(Rel(100), 2);
  back.Commit(21);
  const Manifest next = Next(back);
  back.Ship();
  ExpectBase(next, before);
  EXPECT_TRUE(Choose(next).base->changed.blocks.at(Rel(100)).Contains(2));
}

}  // namespace
}  // namespace pitr
