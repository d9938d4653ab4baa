#include "core/plan/restore_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/plan/snapshots_on_line.h"
#include "core/plan/target_resolution.h"
#include "core/wal/layout.h"
#include "core/work/used_timelines.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

class RestorePlanTest : public ::testing::Test {
 protected:
  Lsn StartOf(std::uint64_t number) const { return SegmentStart(number, make.root.segment_size); }
  RestorePlan Planned(const PlanRequest& request) { return Take(make.Plan(request)); }
  Status Refused(const PlanRequest& request) {
    const Result<RestorePlan> plan = make.Plan(request);
    EXPECT_FALSE(plan.ok()) << "planned " << plan->record_start.ToString();
    return plan.status();
  }
  Xid LastXid(const PlanRequest& request) {
    const RestorePlan plan = Planned(request);
    return plan.last_commit.has_value() ? plan.last_commit->event.xid : 0;
  }
  HistoryMaker make;
};

Xid XidOf(const std::optional<CommitAt>& commit) { return commit ? commit->event.xid : 0; }

// ---- times ----

TEST_F(RestorePlanTest, ATimeIsTheLastCommitAtOrBeforeIt) {
  TestLine main = make.Root("main");
  const SnapshotId snapshot = main.Snapshot(5);
  const Lsn wal_from = SegmentStart(2, make.root.segment_size) + 40;
  const Moment one = main.Commit(10);
  main.Write();
  const Moment two = main.Commit(20);
  main.Write().Switch().Ship();
  for (const double seconds : {10.0, 15.0, 19.999999}) {
    const RestorePlan plan = Planned(make.BareTime(main, At(seconds)));
    EXPECT_EQ(plan.record_start, one.start) << seconds;
    EXPECT_EQ(plan.record_end, one.end);
    EXPECT_EQ(XidOf(plan.last_commit), one.xid);
    EXPECT_EQ(XidOf(plan.next_commit), two.xid);
    EXPECT_EQ(plan.snapshot, snapshot);
    EXPECT_EQ(plan.wal_from, wal_from);
    EXPECT_EQ(plan.wal_bytes, one.end - wal_from);
    EXPECT_EQ(plan.segments, (std::vector<SegmentId>{{1, 2}}));
    EXPECT_EQ(plan.timeline, 1U);
    EXPECT_EQ(plan.line, main.id);
    EXPECT_EQ(plan.owner, main.id);
    EXPECT_EQ(plan.line_name, "main");
  }
  EXPECT_EQ(Planned(make.BareTime(main, At(20))).record_start, two.start);
  EXPECT_EQ(Planned(make.BareTime(main, At(20), false)).record_start, one.start);
  EXPECT_EQ(Planned(make.BareTime(main, At(20.000001), false)).record_start, two.start);
}

TEST_F(RestorePlanTest, AnIdleDatabaseCanBeRestoredToNow) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment last = main.Commit(10);
  main.Write(5000).Switch();
  main.Write(5000).Ship();
  const RestorePlan plan = Planned(make.BareTime(main, make.now));
  EXPECT_EQ(plan.record_start, last.start);
  EXPECT_FALSE(plan.next_commit.has_value());
}

TEST_F(RestorePlanTest, WithoutACommitTheSnapshotItselfIsThePoint) {
  TestLine main = make.Root("main");
  const Moment before = main.Commit(1);
  main.Snapshot(5);
  const Lsn stop = main.wal.last_end(), start = main.wal.last_start();
  main.Write(5000);
  const Moment after = main.Commit(100);
  main.Switch().Ship();
  for (const double seconds : {5.0, 50.0, 99.0}) {
    const RestorePlan plan = Planned(make.BareTime(main, At(seconds)));
    EXPECT_EQ(plan.record_start, start);
    EXPECT_EQ(plan.record_end, stop);
    EXPECT_EQ(XidOf(plan.last_commit), before.xid);
    EXPECT_EQ(XidOf(plan.next_commit), after.xid);
  }
  const Status early = Refused(make.BareTime(main, At(4)));
  EXPECT_EQ(early.code(), Code::kNoSnapshot);
  EXPECT_NE(early.detail().find("2026-11-20T10:00:05.000000Z (" + stop.ToString() + ")"),
            std::string::npos)
      << early.detail();
}

// Waiting for WAL to be archived can end long after the backup: what was committed meanwhile is reachable.
TEST_F(RestorePlanTest, CommitsBetweenTheStopAndTheFinishOfTheFirstSnapshotAreReached) {
  TestLine main = make.Root("main");
  main.Snapshot(60);
  const Moment one = main.Commit(10);
  main.Commit(70);
  main.Switch().Ship();
  EXPECT_EQ(Planned(make.BareTime(main, At(15))).record_start, one.start);
  EXPECT_EQ(Refused(make.BareTime(main, At(9))).code(), Code::kNoSnapshot);
}

TEST_F(RestorePlanTest, TheNewestSnapshotBeforeTheTargetIsTaken) {
  TestLine main = make.Root("main");
  const SnapshotId first = main.Snapshot(5, "first");
  const Moment one = main.Commit(10);
  main.Switch();
  const SnapshotId second = main.Snapshot(20, "second");
  const Lsn stop = main.wal.last_end();
  const Moment two = main.Commit(30);
  main.Switch().Ship();
  EXPECT_EQ(Planned(make.BareTime(main, At(15))).snapshot, first);
  EXPECT_EQ(Planned(make.BareTime(main, At(19))).record_start, one.start);
  EXPECT_EQ(Planned(make.BareTime(main, At(20))).snapshot, second);
  EXPECT_EQ(Planned(make.BareTime(main, At(20))).record_end, stop);
  EXPECT_EQ(Planned(make.BareTime(main, At(30))).record_start, two.start);
  EXPECT_EQ(Planned(make.BareTime(main, At(30))).snapshot, second);
  // A record that ends inside the second backup needs the first.
  EXPECT_EQ(Planned(make.Bare(main, one.start.ToString())).snapshot, first);
  EXPECT_EQ(Planned(make.Bare(main, stop.ToString())).snapshot, second);
  EXPECT_EQ(Planned(make.Bare(main, Lsn{stop.value - 8}.ToString())).snapshot, first);
}

TEST_F(RestorePlanTest, CommitsOutOfOrderAreCountedAndNotTaken) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment in = main.Commit(10);
  const Moment out = main.Commit(30);
  main.Commit(12);
  main.Commit(14);
  main.Switch().Ship();
  const RestorePlan plan = Planned(make.BareTime(main, At(20)));
  EXPECT_EQ(plan.record_start, in.start);
  EXPECT_EQ(XidOf(plan.next_commit), out.xid);
  ASSERT_EQ(plan.warnings.size(), 1U);
  EXPECT_EQ(plan.warnings[0].find("2 later commits"), 0U);
}

// A clock that once stood years ahead must not hide everything that came since.
TEST_F(RestorePlanTest, AClockThatWasAheadOnceDoesNotHideWhatALaterSnapshotReaches) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Commit(500000);
  main.Snapshot(20);
  const Moment last = main.Commit(30);
  main.Switch().Ship();
  EXPECT_EQ(Planned(make.BareTime(main, At(40))).record_start, last.start);
}

TEST_F(RestorePlanTest, ATransactionPreparedByThenIsPartOfThePoint) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment commit = main.Commit(10);
  const Moment prepared = main.Prepare(20, "two");
  main.Commit(40);
  main.Switch().Ship();
  EXPECT_EQ(Planned(make.BareTime(main, At(19))).record_start, commit.start);
  const RestorePlan plan = Planned(make.BareTime(main, At(30)));
  EXPECT_EQ(plan.record_start, prepared.start);
  EXPECT_EQ(XidOf(plan.last_commit), commit.xid);
}

TEST_F(RestorePlanTest, TheFutureIsRefused) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Switch().Ship();
  const Status status = Refused(make.BareTime(main, {make.now.micros + 1}));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message().find("Timestamp can not be in future - "), 0U);
}

// ---- LSNs ----

TEST_F(RestorePlanTest, ACommitThatStartsAtTheLsnIsInOrOutAsAsked) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment before = main.Commit(10);
  main.Write();
  const Lsn filler_start = main.wal.last_start(), filler_end = main.wal.last_end();
  const Moment at = main.Commit(20);
  const Moment after = main.Commit(30);
  main.Switch().Ship();
  // What pg_current_wal_insert_lsn() showed right before the commit.
  const std::string lsn = at.start.ToString();
  const RestorePlan in = Planned(make.Bare(main, lsn));
  EXPECT_EQ(in.record_start, at.start);
  EXPECT_EQ(XidOf(in.last_commit), at.xid);
  EXPECT_EQ(XidOf(in.next_commit), after.xid);
  const RestorePlan out = Planned(make.Bare(main, lsn, false));
  EXPECT_EQ(out.record_start, filler_start);
  EXPECT_EQ(out.record_end, filler_end);
  EXPECT_EQ(XidOf(out.last_commit), before.xid);
  EXPECT_EQ(XidOf(out.next_commit), at.xid);
  // In the middle of it.
  const std::string middle = Lsn{at.start.value + 8}.ToString();
  EXPECT_EQ(LastXid(make.Bare(main, middle)), at.xid);
  EXPECT_EQ(LastXid(make.Bare(main, middle, false)), before.xid);
  // Right before and right behind it.
  EXPECT_EQ(LastXid(make.Bare(main, Lsn{at.start.value - 8}.ToString())), before.xid);
  EXPECT_EQ(LastXid(make.Bare(main, at.end.ToString(), false)), at.xid);
}

TEST_F(RestorePlanTest, NoRecordThatStartsBehindTheLsnIsApplied) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment base = main.Commit(10);
  std::vector<std::pair<Lsn, Lsn>> records = {{base.start, base.end}};
  for (int i = 0; i < 40; i++) {
    if (i % 3 == 0) {
      main.Commit(20 + i);
    } else {
      main.Write(static_cast<std::uint32_t>(100 + 700 * (i % 7)));
    }
    records.push_back({main.wal.last_start(), main.wal.last_end()});
  }
  main.Switch().Ship();
  for (std::size_t i = 1; i < records.size(); i++) {
    for (const std::int64_t offset : {-8, 0, 8}) {
      const Lsn lsn = {records[i].first.value + static_cast<std::uint64_t>(offset)};
      for (const bool inclusive : {true, false}) {
        const RestorePlan plan = Planned(make.Bare(main, lsn.ToString(), inclusive));
        EXPECT_LE(plan.record_start, lsn) << lsn.ToString();
        EXPECT_TRUE(inclusive || plan.record_end <= lsn) << lsn.ToString();
        EXPECT_GE(plan.record_end, records[i - 1].first);
      }
    }
  }
}

TEST_F(RestorePlanTest, AnLsnAtAPageBorderMeansTheSameInBothForms) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment before = main.Commit(10);
  const Lsn border = {(main.wal.next().value / 8192 + 2) * 8192};
  main.wal.FillTo({border.value - 32});
  main.wal.Filler(32);  // ends with the page
  ASSERT_EQ(main.wal.last_end(), border);
  const Lsn filler = main.wal.last_start();
  const Moment at = main.Commit(20);
  ASSERT_EQ(at.start, border + 24);
  main.Switch().Ship();
  for (const Lsn lsn : {border, border + 24}) {
    EXPECT_EQ(Planned(make.Bare(main, lsn.ToString(), false)).record_start, filler);
    EXPECT_EQ(LastXid(make.Bare(main, lsn.ToString(), false)), before.xid);
    EXPECT_EQ(LastXid(make.Bare(main, lsn.ToString())), at.xid);
  }
}

TEST_F(RestorePlanTest, TheEndOfWhatIsHeldIsThePointBehindWhichNothingIs) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment last = main.Commit(10);
  main.Switch().Ship();
  const Lsn end = StartOf(3);
  // Both forms of the place behind the switch.
  EXPECT_EQ(Planned(make.Bare(main, end.ToString())).record_end, end);
  EXPECT_EQ(Planned(make.Bare(main, (end + 40).ToString())).record_end, end);
  EXPECT_EQ(XidOf(Planned(make.Bare(main, end.ToString())).last_commit), last.xid);
  const Status beyond = Refused(make.Bare(main, (end + 48).ToString()));
  EXPECT_EQ(beyond.code(), Code::kOutsideWindow);
  EXPECT_NE(beyond.detail().find("(" + end.ToString() + ")"), std::string::npos)
      << beyond.ToString();
}

TEST_F(RestorePlanTest, BeforeTheOldestSnapshotNothingIsReached) {
  TestLine main = make.Root("main");
  const Moment early = main.Commit(1);
  EXPECT_EQ(main.Ship().Segment(), 2U);
  EXPECT_EQ(Refused(make.Bare(main, early.end.ToString())).code(), Code::kNoSnapshot);
  EXPECT_NE(Refused(make.BareTime(main, At(5))).hint().find("pitr_create_snapshot"),
            std::string::npos);
  main.Snapshot(5);
  const Lsn stop = main.wal.last_end();
  main.Switch().Ship();
  for (const char* lsn : {"0/1", "0/200050"}) {
    const Status status = Refused(make.Bare(main, lsn));
    EXPECT_EQ(status.code(), Code::kNoSnapshot);
    EXPECT_NE(status.detail().find(stop.ToString()), std::string::npos) << status.detail();
  }
}

// ---- other points ----

TEST_F(RestorePlanTest, RestorePointsTransactionsSnapshotsAndTheHead) {
  TestLine main = make.Root("main");
  main.Snapshot(2, "nightly");
  const Moment zero = main.Commit(3);
  const SnapshotId id = main.Snapshot(5, "nightly");
  const Lsn stop = main.wal.last_end();
  main.Write();
  const Lsn before_point = main.wal.last_start();
  const Moment point = main.RestorePoint(10, "deploy");
  const Moment commit = main.Commit(20);
  const Moment aborted = main.Abort(25);
  main.Write(3000);
  const Moment head = main.Now();
  main.Ship();
  EXPECT_EQ(Planned(make.Bare(main, "name:deploy")).record_start, point.start);
  EXPECT_EQ(Planned(make.Bare(main, "name:deploy", false)).record_start, before_point);
  EXPECT_EQ(Planned(make.Bare(main, "xid:" + std::to_string(commit.xid))).record_start,
            commit.start);
  EXPECT_EQ(Planned(make.Bare(main, "xid:" + std::to_string(commit.xid), false)).record_start,
            point.start);
  for (const std::string& name : {id, std::string("nightly")}) {
    const RestorePlan plan = Planned(make.Source(main, "main@snapshot:" + name));
    EXPECT_EQ(plan.record_end, stop);
    EXPECT_EQ(plan.snapshot, id);
    EXPECT_EQ(XidOf(plan.last_commit), zero.xid);
  }
  EXPECT_EQ(Planned(make.Source(main, "main")).record_start, head.start);
  EXPECT_EQ(Planned(make.Source(main, "^self")).record_end, head.end);

  const Status rolled_back = Refused(make.Bare(main, "xid:" + std::to_string(aborted.xid)));
  EXPECT_EQ(rolled_back.code(), Code::kNotFound);
  EXPECT_NE(rolled_back.message().find("was rolled back"), std::string::npos);
  EXPECT_EQ(Refused(make.Bare(main, "xid:4000000")).code(), Code::kNotFound);
  EXPECT_EQ(Refused(make.Bare(main, "name:nothing")).code(), Code::kNotFound);
  EXPECT_EQ(Refused(make.Bare(main, "snapshot:nothing")).code(), Code::kNotFound);
  EXPECT_EQ(Refused(make.Source(main, "nobody@0/1")).code(), Code::kNotFound);
  const Status no_parent = Refused(make.Source(main, "^parent"));
  EXPECT_EQ(no_parent.code(), Code::kNoParent);
  EXPECT_EQ(no_parent.message(), "Branch has no parent");
}

// ---- holes ----

// The machine was lost while a segment was on its way: what was shipped ahead of it cannot be reached.
TEST_F(RestorePlanTest, TheHeadIsTheEndOfWhatCanBeReached) {
  TestLine main = make.Root("main");
  main.Snapshot(2);
  main.Commit(3);
  main.Switch();
  const Moment last = main.Commit(10);
  main.Switch();
  main.Commit(20);
  main.Ship();
  make.RemoveSegment(main.id, {1, last.start.value / make.root.segment_size});
  const RestorePlan plan = Planned(make.Source(main, "main"));
  EXPECT_EQ(plan.record_end, SegmentStart(SegmentNumberOf(last.start, make.root.segment_size),
                                          make.root.segment_size));
  ASSERT_EQ(plan.warnings.size(), 1U);
  EXPECT_NE(plan.warnings[0].find("cannot be reached"), std::string::npos) << plan.warnings[0];
  // A snapshot behind the hole makes it the newest state again.
  main.Snapshot(30);
  const Moment end = main.Commit(40);
  main.Ship();
  EXPECT_EQ(Planned(make.Source(main, "main")).record_end, end.end);
  EXPECT_TRUE(Planned(make.Source(main, "main")).warnings.empty());
}

TEST_F(RestorePlanTest, APointBehindAHoleIsReachedFromTheNextSnapshotOnly) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment before = main.Commit(10);
  main.Switch();
  const Moment gone = main.Commit(20);
  main.Switch();
  const Moment between = main.Commit(30);
  main.Switch();
  main.Snapshot(40);
  const Lsn stop = main.wal.last_end();
  const Moment after = main.Commit(50);
  main.Switch().Ship();
  make.RemoveSegment(main.id, {1, 3});

  EXPECT_EQ(LastXid(make.BareTime(main, At(10))), before.xid) << "the last commit before it";
  EXPECT_EQ(LastXid(make.BareTime(main, At(50))), after.xid);
  EXPECT_EQ(Planned(make.BareTime(main, At(45))).record_end, stop);
  for (const double seconds : {15.0, 20.0, 35.0}) {
    const Status status = Refused(make.BareTime(main, At(seconds)));
    EXPECT_EQ(status.code(), Code::kGap) << seconds;
    EXPECT_NE(status.detail().find("2026-11-20T10:00:10.000000Z"), std::string::npos)
        << status.detail();
    EXPECT_NE(status.detail().find("2026-11-20T10:00:40.000000Z (" + stop.ToString() + ")"),
              std::string::npos)
        << status.detail();
  }
  EXPECT_EQ(Refused(make.Bare(main, gone.start.ToString())).code(), Code::kGap);
  EXPECT_EQ(Refused(make.Bare(main, Lsn{gone.start.value + 4000}.ToString(), false)).code(),
            Code::kGap);
  EXPECT_EQ(LastXid(make.Bare(main, StartOf(3).ToString())), before.xid);
  EXPECT_EQ(Refused(make.Bare(main, between.start.ToString(), false)).code(), Code::kGap);

  // Held itself, but only behind the hole.
  RestorePlan partial;
  std::vector<std::string> missing;
  const Result<RestorePlan> plan =
      make.Plan(make.Bare(main, between.start.ToString()), &partial, &missing);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.status().code(), Code::kGap);
  EXPECT_EQ(missing, (std::vector<std::string>{"000000010000000000000003"}));
  EXPECT_EQ(partial.record_start, between.start);
  EXPECT_EQ(XidOf(partial.last_commit), between.xid);
  EXPECT_EQ(partial.segments.size(), 3U);
  EXPECT_EQ(partial.line_name, "main");
}

TEST_F(RestorePlanTest, ASnapshotWhoseWalIsNotAllThereServesNothing) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Commit(10);
  EXPECT_EQ(Refused(make.BareTime(main, At(20))).code(), Code::kNoSnapshot);
  main.Switch().Ship();
  EXPECT_TRUE(make.Plan(make.BareTime(main, At(20))).ok());
}

TEST_F(RestorePlanTest, MinimalWalIsAHole) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  const Moment before = main.Commit(10);
  wal::ParameterChange change;
  change.wal_level = 0;
  main.wal.Parameters(change);
  const Moment after = main.Commit(20);
  main.Switch();
  main.Snapshot(30);
  const Moment later = main.Commit(40);
  main.Switch().Ship();
  EXPECT_EQ(LastXid(make.BareTime(main, At(15))), before.xid);
  const Status status = Refused(make.Bare(main, after.start.ToString()));
  EXPECT_EQ(status.code(), Code::kGap);
  EXPECT_NE(status.message().find("minimal"), std::string::npos);
  EXPECT_EQ(LastXid(make.BareTime(main, At(40))), later.xid);
}

// ---- what else a plan says ----

TEST_F(RestorePlanTest, SettingsAreTheMaximumUpToTheTarget) {
  TestLine main = make.Root("main");
  make.snapshot_model.control.max_connections = 100;
  make.snapshot_model.control.max_worker_processes = 8;
  make.snapshot_model.control.data_checksum_version = 1;
  make.snapshot_model.database_bytes = 1'000'000;
  make.snapshot_model.packs = {{"sn-20261120T100000-00000001", 1}};
  make.snapshot_model.frames = {{0, kPackHeadSize, 10, 10, 1, false}};
  main.Snapshot(5);
  wal::ParameterChange change;
  change.wal_level = 1;
  change.max_connections = 300;
  change.max_worker_processes = 4;
  main.wal.Parameters(change);
  const Moment one = main.Commit(10);
  change.max_connections = 50;
  change.max_locks_per_transaction = 99;
  main.wal.Parameters(change);
  change.wal_level = 2;
  change.max_connections = 1000;
  const Moment two = main.Commit(20);
  main.wal.Parameters(change);
  main.wal.Add({200, 0, 0, {}, Bytes(10)});
  const Moment three = main.Commit(30);
  main.Switch().Ship();
  const RestorePlan first = Planned(make.BareTime(main, one.time));
  EXPECT_EQ(first.settings.max_connections, 300);
  EXPECT_EQ(first.settings.max_worker_processes, 8);
  EXPECT_EQ(first.settings.max_locks_per_transaction, 0);
  EXPECT_EQ(first.settings.data_checksum_version, 1U);
  EXPECT_EQ(first.database_bytes, 1'000'000U);
  EXPECT_EQ(first.data_bytes, kFrameSize) << "one frame, the rest is holes";
  const RestorePlan second = Planned(make.BareTime(main, two.time));
  EXPECT_EQ(second.settings.max_connections, 300);
  EXPECT_EQ(second.settings.max_locks_per_transaction, 99);
  const RestorePlan third = Planned(make.BareTime(main, three.time));
  EXPECT_EQ(third.settings.max_connections, 1000);
  EXPECT_EQ(third.settings.wal_level, 2);
  EXPECT_EQ(third.custom_resource_managers, (std::vector<std::uint8_t>{200}));
}

wal::WalRecord DropOf(std::uint32_t database, Xid xid) {
  wal::WalRecord record;
  record.resource_manager = wal::rmgr::kDatabase;
  record.info = wal::dbase::kDrop | wal::record::kSpecialRelationUpdate;
  record.xid = xid;
  ByteWriter out(&record.main_data);
  out.U32(database);
  out.U32(2);
  out.U32(1663);
  out.U32(16400);
  return record;
}

TEST_F(RestorePlanTest, FilesOfADatabaseThatGoBeforeItsDropIsCommittedAreWarnedOf) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.wal.Add(DropOf(16390, 900));
  main.wal.Commit(900, At(8));
  const Moment before = main.Commit(10);
  main.wal.Add(DropOf(16391, 901));
  const Lsn drop = main.wal.last_start();
  const Moment other = main.Commit(20);  // of somebody else, between the two
  main.wal.Commit(901, At(21));
  const Moment dropped = main.Now();
  main.Switch().Ship();
  EXPECT_TRUE(Planned(make.BareTime(main, before.time)).warnings.empty());
  EXPECT_TRUE(Planned(make.Bare(main, dropped.start.ToString())).warnings.empty());
  const RestorePlan plan = Planned(make.BareTime(main, other.time));
  ASSERT_EQ(plan.warnings.size(), 1U);
  EXPECT_NE(plan.warnings[0].find("database 16391"), std::string::npos);
  EXPECT_NE(plan.warnings[0].find(drop.ToString()), std::string::npos);
  // The LSN that it names is before the drop, and before the other commit.
  const RestorePlan advised = Planned(make.Bare(main, drop.ToString()));
  EXPECT_TRUE(advised.warnings.empty());
  EXPECT_EQ(XidOf(advised.last_commit), before.xid);
}

TEST_F(RestorePlanTest, ADropOverASegmentBorderIsSeenToo) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.wal.FillTo({StartOf(3).value - 32});
  main.wal.Add(DropOf(16391, 901));
  const Moment other = main.Commit(20);
  main.wal.Commit(901, At(21));
  main.Switch().Ship();
  EXPECT_EQ(Planned(make.BareTime(main, other.time)).warnings.size(), 1U);
}

// ---- lines ----

// rules.md 2: six points, restored in the order 5 2 6 1 4, by time and LSN in turn.
TEST_F(RestorePlanTest, SixPointsAreFoundInAnyOrderOfRestores) {
  for (const bool time_first : {true, false}) {
    SCOPED_TRACE(time_first);
    HistoryMaker own;
    TestLine first = own.Root("main");
    first.Snapshot(0.5);
    std::vector<Moment> points;
    for (int i = 1; i <= 6; i++) {
      points.push_back(first.Commit(i * 10));
      first.Write(300000);
    }
    first.Commit(70);
    first.Switch().Ship();
    TestLine shown = first;
    double clock = 100;
    bool by_time = time_first;
    TimelineId timeline = 1;
    for (const int number : {5, 2, 6, 1, 4}) {
      SCOPED_TRACE(number);
      const Moment& point = points[static_cast<std::size_t>(number) - 1];
      const PlanRequest request = by_time ? own.BareTime(shown, {point.time.micros + 5000000})
                                          : own.Bare(shown, point.start.ToString());
      const RestorePlan plan = Take(own.Plan(request));
      EXPECT_EQ(plan.record_start, point.start);
      EXPECT_EQ(plan.record_end, point.end);
      EXPECT_EQ(XidOf(plan.last_commit), point.xid);
      EXPECT_EQ(plan.timeline, 1U);
      EXPECT_EQ(plan.owner, first.id);
      EXPECT_EQ(Take(UsedTimelines(own.repo(), own.set.FamilyOf(plan.line))).size(), timeline);
      Moment fork = point;
      fork.timeline = plan.timeline;
      TestLine owner = first;
      owner.id = plan.line;
      timeline++;
      shown = own.RestoreOver(shown, "main_old_" + std::to_string(timeline), owner, fork, timeline,
                              clock);
      shown.Commit(clock + 1);
      shown.Ship();
      clock += 100;
      by_time = !by_time;
    }
  }
}

TEST_F(RestorePlanTest, ABareTimeIsWhatTheNameShowedThenAndUndoIsFollowed) {
  TestLine a = make.Root("main");
  a.Snapshot(1);
  const Moment a1 = a.Commit(10);
  const Moment a2 = a.Commit(50);
  a.Switch().Ship();
  TestLine b = make.RestoreOver(a, "main_old_1", a, a1, 2, 100);
  const Moment b1 = b.Commit(110);
  b.Switch().Ship();
  make.Exchange(b, "main_old_2", a, 200);  // undone
  const Moment a3 = a.Commit(210);
  a.Switch().Ship();
  struct Case {
    double seconds;
    const Moment* moment;
    const TestLine* line;
  };
  for (const Case& c : {Case{15, &a1, &a},
                        {99, &a2, &a},
                        {105, &a1, &b},
                        {150, &b1, &b},
                        {199, &b1, &b},
                        {205, &a2, &a},
                        {220, &a3, &a}}) {
    const RestorePlan plan = Planned(make.BareTime(a, At(c.seconds)));
    EXPECT_EQ(plan.record_start, c.moment->start) << c.seconds;
    EXPECT_EQ(plan.line, c.line->id) << c.seconds;
  }
  EXPECT_EQ(Planned(make.BareTime(a, At(150))).line_name, "main_old_2");
  EXPECT_EQ(Planned(make.BareTime(a, At(150))).timeline, 2U);
  EXPECT_EQ(Planned(make.BareTime(a, At(105))).owner, a.id);
  EXPECT_EQ(Planned(make.BareTime(a, At(105))).timeline, 1U);
  // The name is followed only where it is bare.
  EXPECT_EQ(Planned(make.Source(a, "main_old_2@" + FormatTime(At(220)))).record_start, b1.start);
  EXPECT_EQ(Planned(make.Source(a, "^self@" + FormatTime(At(150)))).record_start, a2.start);
  EXPECT_EQ(Take(UsedTimelines(make.repo(), make.set.FamilyOf(a.id))),
            (std::vector<TimelineId>{1, 2}));
}

TEST_F(RestorePlanTest, ABareLsnBehindTheHeadLiesOnTheNewestOlderLine) {
  TestLine a = make.Root("main");
  a.Snapshot(1);
  const Moment a1 = a.Commit(10);
  a.Write(3U << 20);
  const Moment a2 = a.Commit(50);
  const Moment named = a.RestorePoint(51, "here");
  a.Switch().Ship();
  TestLine b = make.RestoreOver(a, "main_old_1", a, a1, 2, 100);
  const Moment b1 = b.Commit(110);
  b.Ship();
  const RestorePlan own = Planned(make.Bare(b, b1.start.ToString()));
  EXPECT_EQ(own.line, b.id);
  EXPECT_EQ(own.timeline, 2U);
  const RestorePlan inherited = Planned(make.Bare(b, a1.start.ToString()));
  EXPECT_EQ(inherited.line, b.id);
  EXPECT_EQ(inherited.owner, a.id);
  const RestorePlan older = Planned(make.Bare(b, a2.start.ToString()));
  EXPECT_EQ(older.line, a.id);
  EXPECT_EQ(older.line_name, "main_old_1");
  EXPECT_EQ(older.record_start, a2.start);
  EXPECT_EQ(Planned(make.Bare(b, "name:here")).record_start, named.start);
  EXPECT_EQ(Planned(make.Bare(b, "xid:" + std::to_string(a2.xid))).line, a.id);
  // `source@point` is one line only.
  EXPECT_EQ(Refused(make.Source(b, "^self@" + a2.start.ToString())).code(), Code::kOutsideWindow);
  EXPECT_EQ(Refused(make.Source(b, "main@name:here")).code(), Code::kNotFound);
  EXPECT_EQ(Refused(make.Bare(b, "F/0")).code(), Code::kOutsideWindow);
}

TEST_F(RestorePlanTest, TwoUnrelatedLinesMakeAnLsnAmbiguous) {
  TestLine a = make.Root("main");
  a.Snapshot(1);
  const Moment a1 = a.Commit(10);
  const Moment a2 = a.Commit(20);
  a.Write().Switch().Ship();
  TestLine b = make.RestoreOver(a, "old_1", a, a1, 2, 100);
  b.Write(3U << 20);
  const Moment b1 = b.Commit(110);
  b.Switch().Ship();
  TestLine c = make.RestoreOver(b, "old_2", a, a2, 3, 200);
  c.Write(4U << 20);
  c.Commit(210);
  c.Switch().Ship();
  TestLine d = make.RestoreOver(c, "old_3", a, a1, 4, 300);
  d.Commit(310);
  d.Ship();
  const Status status = Refused(make.Bare(d, b1.start.ToString()));
  EXPECT_EQ(status.code(), Code::kAmbiguous);
  for (const char* name : {"\"old_2\"", "\"old_3\""}) {
    EXPECT_NE(status.message().find(name), std::string::npos) << status.message();
  }
  EXPECT_EQ(Planned(make.Source(d, "old_2@" + b1.start.ToString())).line, b.id);
  EXPECT_EQ(Planned(make.Source(d, "old_3@" + b1.start.ToString())).line, c.id);
  // A deleted one is no candidate.
  make.set.FindId(c.id)->deleted_at = At(400);
  EXPECT_EQ(Planned(make.Bare(d, b1.start.ToString())).line, b.id);
}

TEST_F(RestorePlanTest, ALineThatDescendsFromAnotherIsTakenBeforeIt) {
  TestLine a = make.Root("main");
  a.Snapshot(1);
  const Moment a1 = a.Commit(10);
  const Moment a2 = a.Commit(20);
  a.Write(3U << 20);
  const Moment a3 = a.Commit(30);
  a.Switch().Ship();
  TestLine b = make.RestoreOver(a, "old_1", a, a2, 2, 100);
  b.Write(5U << 20);
  b.Commit(110);
  b.Switch().Ship();
  TestLine c = make.RestoreOver(b, "old_2", a, a1, 3, 200);
  c.Commit(210);
  c.Ship();
  EXPECT_EQ(Planned(make.Bare(c, a3.start.ToString())).line, b.id);
  EXPECT_EQ(Planned(make.Source(c, "old_1@" + a3.start.ToString())).record_start, a3.start);
}

TEST_F(RestorePlanTest, ADeletedLineIsNamedAndNotUsed) {
  TestLine a = make.Root("main");
  a.Snapshot(1);
  const Moment a1 = a.Commit(10);
  a.Commit(50);
  a.Switch().Ship();
  TestLine b = make.RestoreOver(a, "main_old_1", a, a1, 2, 100);
  b.Ship();
  make.set.FindId(a.id)->deleted_at = At(150);
  const Status status = Refused(make.BareTime(b, At(60)));
  EXPECT_EQ(status.code(), Code::kOutsideWindow);
  EXPECT_NE(status.message().find("main_old_1"), std::string::npos);
  EXPECT_EQ(LastXid(make.BareTime(b, At(120))), a1.xid);
  // Nothing was committed between the fork and then: the present line holds that state as well.
  const RestorePlan shared = Planned(make.BareTime(b, At(20)));
  EXPECT_EQ(shared.line, b.id);
  EXPECT_EQ(shared.owner, a.id);
  EXPECT_EQ(shared.record_start, a1.start);
}

TEST_F(RestorePlanTest, ABranchIsRestoredFromItsParentsSnapshots) {
  TestLine main = make.Root("main");
  const SnapshotId first = main.Snapshot(1);
  const Moment fork = main.Commit(10);
  main.Switch();
  const SnapshotId later = main.Snapshot(20);
  main.Commit(30);
  main.Switch().Ship();
  TestLine dev = make.Fork("dev", main, fork, 2, 40);
  const Moment own = dev.Commit(50);
  dev.Ship();
  const RestorePlan plan = Planned(make.Source(main, "dev"));
  EXPECT_EQ(plan.snapshot, first) << "the later one lies behind the fork";
  EXPECT_EQ(plan.record_start, own.start);
  EXPECT_EQ(plan.timeline, 2U);
  EXPECT_EQ(plan.wal_from_timeline, 1U);
  EXPECT_EQ(plan.segments, (std::vector<SegmentId>{{2, 2}}));
  EXPECT_EQ(Planned(make.Source(dev, "^parent")).snapshot, later);
  EXPECT_EQ(Planned(make.Source(dev, "dev@" + fork.start.ToString())).owner, main.id);
}

// A snapshot of a line that opened the same timeline number is none of ours.
TEST_F(RestorePlanTest, ASnapshotOfASiblingOnTheSameTimelineNumberIsNotTaken) {
  TestLine main = make.Root("main");
  const SnapshotId base = main.Snapshot(1);
  const Moment fork = main.Commit(10);
  main.Switch().Ship();
  TestLine one = make.Fork("one", main, fork, 2, 40);
  one.Snapshot(45);
  one.Commit(50);
  one.Switch().Ship();
  TestLine two = make.Fork("two", main, fork, 2, 60);
  two.Write(5000);
  two.Commit(70);
  two.Switch().Ship();
  EXPECT_EQ(Planned(make.Source(main, "two")).snapshot, base);
  EXPECT_NE(Planned(make.Source(main, "one")).snapshot, base);
}

TEST_F(RestorePlanTest, WithOnlyTheNewerCopyOfTheSwitchSegmentItsTimelineIsRecoveredAlong) {
  TestLine main = make.Root("main");
  main.Snapshot(1);
  main.Switch();
  const Moment target = main.Commit(10);
  const Moment fork = main.Commit(20);
  main.Switch().Ship();
  TestLine fresh = make.RestoreOver(main, "main_old", main, fork, 2, 100);
  fresh.Commit(110);
  fresh.Switch().Ship();
  EXPECT_EQ(Planned(make.BareTime(fresh, At(105))).timeline, 1U);
  EXPECT_EQ(Planned(make.Source(fresh, "main@" + target.start.ToString())).timeline, 1U);
  make.RemoveSegment(main.id, {1, 3});
  const RestorePlan plan = Planned(make.Source(fresh, "main@" + target.start.ToString()));
  EXPECT_EQ(plan.timeline, 2U);
  EXPECT_EQ(plan.segments.back(), (SegmentId{2, 3}));
  EXPECT_EQ(plan.owner, main.id);
  EXPECT_EQ(plan.record_start, target.start);
}

}  // namespace
}  // namespace pitr
