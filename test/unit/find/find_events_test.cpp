#include "core/find/find_events.h"

#include <gtest/gtest.h>

#include "core/find/catalog_base.h"
#include "core/find/follower.h"
#include "unit/support/history_maker.h"

namespace pitr::find {
namespace {

class Stopped final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override { return true; }
};

class FindEventsTest : public ::testing::Test {
 protected:
  FindEventsTest() { request.kinds.fill(true); }

  Result<FoundEvents> Ask(const TestLine& line, const CancelToken& cancel = never) {
    return FindEvents(make.repo(), make.set, line.id, request, &cancel);
  }
  // "kind rows xid committed before", line by line.
  std::string Found(const TestLine& line) {
    std::string text;
    for (const FoundEvent& event : Take(Ask(line)).events) {
      text += std::string(kKindNames[static_cast<std::size_t>(event.kind)]) + " " +
              (event.rows ? std::to_string(*event.rows) : event.object) + " " +
              std::to_string(event.xid) + (event.committed ? "\n" : " open\n");
    }
    return text;
  }
  static void Delete(TestLine* line, Xid xid, std::uint32_t rows, std::uint8_t flags = 0,
                     std::uint32_t relation = 16400) {
    for (std::uint32_t i = 0; i < rows; i++) {
      wal::WalRecord record;
      record.resource_manager = wal::rmgr::kHeap;
      record.info = wal::heap::kDelete;
      record.xid = xid;
      record.blocks = {{{1663, 5, relation, 0}, i / 50, false, 0}};
      record.main_data = {0, 0, 0, 0, 1, 0, 0, flags};
      line->wal.Add(record);
    }
  }

  static inline const class Never final : public CancelToken {
   public:
    bool IsCancelled() const noexcept override { return false; }
  } never;
  HistoryMaker make;
  FindRequest request;
};

TEST_F(FindEventsTest, RowsOfTransactionsThatCommitted) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  request.min_rows = 20;
  Delete(&main, 800, 30);
  Delete(&main, 801, 40);
  Delete(&main, 802, 19);
  Delete(&main, 803, 60, wal::heap::kDeleteIsSpeculative);
  Delete(&main, 804, 25, wal::heap::kDeleteIsMove);
  Delete(&main, 805, 70, 0, 1259);
  main.wal.Abort(801, At(10));
  const Lsn last = main.wal.last_start();
  main.wal.Commit(800, At(11)).Commit(802, At(12)).Commit(803, At(13)).Commit(804, At(14));
  main.Ship();
  EXPECT_EQ(Found(main), "delete 30 800\nupdate 25 804\n");
  const FoundEvents found = Take(Ask(main));
  EXPECT_EQ(found.events[0].before, last) << "the record before the commit";
  EXPECT_EQ(found.events[0].detail, "file 16400 of database 5") << "nothing knows its name";
  EXPECT_EQ(found.events[0].time, At(11));
  request.until = At(12);
  EXPECT_EQ(Found(main), "delete 30 800\n");
  request.since = At(11.5);
  EXPECT_EQ(Found(main), "");
}

TEST_F(FindEventsTest, ATransactionThatBeganSegmentsBefore) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  Delete(&main, 900, 1200);
  main.Switch();
  main.wal.Commit(899, At(10));
  main.Switch();
  for (int minute = 1; minute < 40; minute++) {
    main.wal.Commit(900 + static_cast<Xid>(minute), At(minute * 60));
    main.Switch();
  }
  main.wal.Commit(900, At(2400));
  main.Ship();
  request.since = At(2390);
  request.min_rows = 1200;
  EXPECT_EQ(Found(main), "delete 1200 900\n");
  request.min_rows = 1201;
  EXPECT_EQ(Found(main), "");
}

TEST_F(FindEventsTest, ACrashEndsWhatRan) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  request.min_rows = 10;
  Delete(&main, 900, 20);
  Delete(&main, 901, 20);
  main.wal.Prepare(901, At(9), "two phases");
  main.wal.Checkpoint(main.wal.last_start(), true);
  main.wal.Commit(900, At(10));  // of another transaction would it be, after a crash
  main.Ship();
  EXPECT_EQ(Found(main), "delete 20 901 open\n");
  main.wal.CommitPrepared(901, At(12), "two phases");
  main.Ship();
  EXPECT_EQ(Found(main), "delete 20 901\n");
}

TEST_F(FindEventsTest, DatabasesAndRestorePoints) {
  TestLine main = make.Root("main");
  main.wal.RestorePoint("too early", At(1));
  main.Snapshot(5);
  const Moment point = main.RestorePoint(6, "here");
  wal::WalRecord drop;
  drop.resource_manager = wal::rmgr::kDatabase;
  drop.info = wal::dbase::kDrop;
  drop.xid = 900;
  drop.main_data = {0x10, 0x40, 0, 0, 1, 0, 0, 0, 0x7F, 6, 0, 0};
  main.wal.Add(drop);
  const Lsn dropped = main.wal.last_start();
  main.Ship();
  request.kinds.fill(false);
  request.kinds[static_cast<std::size_t>(Kind::kRestorePoint)] = true;
  EXPECT_EQ(Found(main), "restore_point here 0\n");
  request.kinds.fill(true);
  main.wal.Commit(900, At(8));
  main.Ship();
  const FoundEvents found = Take(Ask(main));
  ASSERT_EQ(found.events.size(), 2U);
  EXPECT_EQ(found.events[0].before, point.start);
  EXPECT_EQ(found.events[1].kind, Kind::kDropDatabase);
  EXPECT_EQ(found.events[1].lsn, dropped);
  EXPECT_EQ(found.events[1].before, point.start);
  EXPECT_EQ(found.events[1].detail, "database 16400");
}

TEST_F(FindEventsTest, GapsAreTold) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Commit(10);
  main.Switch();
  const SegmentId lost = {main.timeline, main.Segment()};
  main.Commit(20);
  main.Switch();
  main.Snapshot(25);
  main.Commit(30);
  main.Ship();
  EXPECT_TRUE(Take(Ask(main)).gaps.empty());
  make.RemoveSegment(main.id, lost);
  EXPECT_EQ(Take(Ask(main)).gaps.size(), 1U);
  request.until = At(-1000);
  EXPECT_TRUE(Take(Ask(main)).gaps.empty()) << "before it";
  request = FindRequest();
  request.since = At(2000);
  EXPECT_TRUE(Take(Ask(main)).gaps.empty()) << "behind it";
  TestLine empty = make.Root("nothing");
  EXPECT_EQ(Take(Ask(empty)).gaps.size(), 1U);
}

TEST_F(FindEventsTest, ReadsOnlyWhatCanHoldEvents) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Switch();
  request.min_rows = 5000;  // more than ten blocks hold
  for (int i = 0; i < 10; i++) {
    main.Commit(10 + i);
    Delete(&main, 950, 3);
    main.Switch();
  }
  main.Ship();
  EXPECT_LE(Take(Ask(main)).segments_read, 1U);
  request.min_rows = 1;
  EXPECT_GE(Take(Ask(main)).segments_read, 10U);
}

// Some record runs over every border: what is read of the next segment for its sake leads no further.
TEST_F(FindEventsTest, ReadsNoFurtherThanTheEndOfARecord) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  Delete(&main, 805, 2, 0, 1259);
  main.wal.Commit(805, At(9));
  const std::uint64_t first = main.Segment();
  while (main.Segment() < first + 10) {
    main.Write(5000);
  }
  main.wal.Commit(806, At(10));
  main.Ship();
  const FoundEvents found = Take(Ask(main));
  EXPECT_GE(found.segments, 10U);
  EXPECT_LE(found.segments_read, 4U);
}

TEST_F(FindEventsTest, CancelledInBetween) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Commit(10);
  main.Ship();
  EXPECT_EQ(Ask(main, Stopped()).status().code(), Code::kCancelled);
}

TEST_F(FindEventsTest, CatalogsOfASnapshotThatIsNotThere) {
  CatalogRows rows;
  EXPECT_FALSE(LoadCatalogs(make.repo(), SnapshotId("snap-none"), nullptr, &rows).ok());
}

}  // namespace
}  // namespace pitr::find
