// What counts as activity since a snapshot, and what does not.
#include "core/plan/activity.h"

#include <gtest/gtest.h>

#include "core/wal/layout.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

constexpr wal::RelFork kTable = {1663, 5, 16384, 0};

class ActivityTest : public ::testing::Test {
 protected:
  ActivityTest() : main(make.Root("main")) {
    Write(main, make.NextXid());
    main.Commit(1);
  }

  // A row of a table, written by that transaction.
  void Write(TestLine& line, Xid xid) {
    wal::WalRecord record;
    record.resource_manager = wal::rmgr::kHeap;
    record.xid = xid;
    record.blocks.push_back({kTable, 3, false, 16});
    record.main_data = Bytes(8, 0);
    line.wal.Add(record);
  }
  // What a checkpoint writes: the numbers from `next` on are still to come.
  void Running(TestLine& line, Xid next) {
    wal::WalRecord record;
    record.resource_manager = wal::rmgr::kStandby;
    record.info = wal::standby::kRunningXacts;
    record.main_data = Bytes(wal::standby::kRunningXactsMin, 0);
    for (int i = 0; i < 4; i++) {
      record.main_data[wal::standby::kNextXid + static_cast<std::size_t>(i)] =
          static_cast<std::uint8_t>(next >> (8 * i));
    }
    line.wal.Add(record);
  }
  // A snapshot between whose start and stop that list is written.
  void Snapshot(bool with_list = true) {
    Manifest manifest = make.snapshot_model;
    manifest.start_lsn = main.wal.next();
    if (with_list) {
      Running(main, 10000);
    }
    main.wal.Checkpoint(manifest.start_lsn);
    main.wal.Filler(64);
    manifest.stop_lsn = main.wal.last_end();
    manifest.branch = main.id;
    manifest.timeline = main.timeline;
    snapshot = manifest;
  }
  void Commit(Xid xid, std::uint32_t subtransactions = 0) {
    main.wal.Commit(xid, At(100), {}, subtransactions);
  }
  bool IsActive() {
    main.Ship();
    const auto line = make.Open(main.id);
    const Result<bool> active = HasCommitsSince(*line, snapshot, NoCancel());
    EXPECT_TRUE(active.ok()) << active.status().ToString();
    return active.ok() && *active;
  }

  HistoryMaker make;
  TestLine main;
  Manifest snapshot;
};

TEST_F(ActivityTest, NothingSinceTheSnapshot) {
  Snapshot();
  EXPECT_FALSE(IsActive());
}

TEST_F(ActivityTest, WhatACommitOfNothingLeavesDoesNotCount) {
  Snapshot();
  Commit(10000);
  Running(main, 10001);
  main.wal.Checkpoint(main.wal.next()).RestorePoint("here", At(50));
  Commit(10001);
  main.wal.Abort(10002, At(60));
  main.Switch();
  Commit(10003);
  EXPECT_FALSE(IsActive());
}

TEST_F(ActivityTest, ARowCounts) {
  Snapshot();
  Commit(10000);
  Write(main, 10001);
  EXPECT_FALSE(IsActive()) << "not committed yet";
  Commit(10001);
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, ARowThatWasRolledBackDoesNot) {
  Snapshot();
  Write(main, 10000);
  main.wal.Abort(10000, At(60));
  Commit(10001);
  EXPECT_FALSE(IsActive());
}

TEST_F(ActivityTest, ARowOfBeforeTheSnapshotThatIsCommittedBehindItCounts) {
  Write(main, 9000);
  Snapshot();
  Commit(9000);
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, ANumberOfBeforeTheSnapshotCountsWhateverIsKnownOfIt) {
  Snapshot();
  Commit(9999);
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, WithoutAListOfRunningOnesEveryCommitCounts) {
  Snapshot(false);
  EXPECT_FALSE(IsActive());
  Commit(10000);
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, SubtransactionsCount) {
  Snapshot();
  Commit(10000, 2);
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, APreparedTransactionCountsWhenItIsCommitted) {
  Snapshot();
  main.wal.Prepare(10000, At(50), "gid");
  EXPECT_FALSE(IsActive());
  main.wal.CommitPrepared(10000, At(51), "gid");
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, RecordsThatRunOverSegmentsAreRead) {
  Snapshot();
  const Lsn border = SegmentStart(main.Segment() + 1, make.root.segment_size);
  main.wal.FillTo({border.value - 32});
  Write(main, 10000);
  Commit(10000);
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, BehindAGapNothingIsKnown) {
  Snapshot();
  main.Switch();
  Commit(10000);
  main.Switch();
  Commit(10001);
  main.Ship();
  make.RemoveSegment(main.id, {1, SegmentNumberOf(snapshot.stop_lsn, make.root.segment_size) + 1});
  EXPECT_TRUE(IsActive());
}

TEST_F(ActivityTest, ItStopsWhenItIsToldTo) {
  class Cancelled final : public CancelToken {
   public:
    bool IsCancelled() const noexcept override { return true; }
  };
  Snapshot();
  Commit(10000);
  main.Ship();
  const auto line = make.Open(main.id);
  EXPECT_EQ(HasCommitsSince(*line, snapshot, Cancelled()).status().code(), Code::kCancelled);
}

}  // namespace
}  // namespace pitr
