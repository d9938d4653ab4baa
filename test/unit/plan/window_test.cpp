#include <gtest/gtest.h>

#include "core/plan/restore_plan.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

class WindowTest : public ::testing::Test {
 protected:
  std::vector<WindowRow> Window(const TestLine& line) {
    return Take(RestoreWindow(make.repo(), make.set, line.id));
  }
  LsnAt LsnOf(const TestLine& line, double seconds) {
    return Take(FindLsnAt(make.repo(), make.set, line.id, At(seconds)));
  }
  HistoryMaker make;
};

TEST_F(WindowTest, WithoutASnapshotThereIsNone) {
  TestLine main = make.Root("main");
  EXPECT_TRUE(Window(main).empty());
  main.Commit(1);
  main.Switch().Ship();
  EXPECT_TRUE(Window(main).empty());
}

TEST_F(WindowTest, RunsFromTheOldestSnapshotToTheLastRecord) {
  TestLine main = make.Root("main");
  main.Commit(1);
  main.Snapshot(5);
  const Lsn stop = main.wal.last_end();
  main.Commit(10);
  main.Snapshot(15);
  main.Commit(20);
  main.Write();
  const Moment end = main.Now();
  main.Ship();
  const std::vector<WindowRow> rows = Window(main);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].branch, "main");
  EXPECT_EQ(rows[0].line, "main");
  EXPECT_EQ(rows[0].line_id, main.id);
  EXPECT_EQ(rows[0].earliest_lsn, stop);
  EXPECT_EQ(rows[0].latest_lsn, end.end);
  EXPECT_EQ(rows[0].earliest_time, At(5));
  EXPECT_EQ(rows[0].latest_time, At(20));
  EXPECT_FALSE(rows[0].snapshot_only);
}

TEST_F(WindowTest, BothEndsOfEveryRowCanBeRestored) {
  TestLine main = make.Root("main");
  main.Snapshot(50);  // finished after the first commit behind it
  main.Commit(10);
  main.Switch();
  main.Commit(20);
  main.Switch();
  main.Commit(30);
  main.Switch();
  main.Snapshot(60);
  main.Commit(70);
  main.Switch().Ship();
  make.RemoveSegment(main.id, {1, 3});
  const std::vector<WindowRow> rows = Window(main);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].earliest_time, At(10));
  EXPECT_EQ(rows[0].latest_time, At(10));
  EXPECT_EQ(rows[1].earliest_time, At(60));
  for (const WindowRow& row : rows) {
    for (const auto& time : {row.earliest_time, row.latest_time}) {
      EXPECT_TRUE(make.Plan(make.BareTime(main, *time)).ok()) << FormatTime(*time);
    }
    for (const Lsn lsn : {row.earliest_lsn, row.latest_lsn}) {
      const Result<RestorePlan> plan = make.Plan(make.Bare(main, lsn.ToString()));
      EXPECT_TRUE(plan.ok()) << lsn.ToString() << " " << plan.status().ToString();
    }
  }
}

TEST_F(WindowTest, ASnapshotWithNothingBehindItIsOnePoint) {
  TestLine main = make.Root("main");
  main.Commit(1);
  main.Snapshot(5);
  main.Switch().Ship();
  const std::vector<WindowRow> rows = Window(main);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(rows[0].snapshot_only);
  EXPECT_EQ(rows[0].earliest_time, At(5));
  EXPECT_EQ(rows[0].latest_time, At(5));
  main.Write().Switch().Ship();
  EXPECT_FALSE(Window(main)[0].snapshot_only);
}

TEST_F(WindowTest, TheCurrentLineComesFirstThenThoseThatHeldTheName) {
  TestLine a = make.Root("main");
  a.Snapshot(1);
  const Moment a1 = a.Commit(10);
  a.Commit(50);
  a.Switch().Ship();
  TestLine b = make.RestoreOver(a, "main_old_1", a, a1, 2, 100);
  const Moment b1 = b.Commit(110);
  b.Ship();
  const std::vector<WindowRow> rows = Window(b);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].line, "main");
  EXPECT_EQ(rows[0].timeline, 2U);
  EXPECT_EQ(rows[0].latest_lsn, b1.end);
  EXPECT_EQ(rows[0].earliest_time, At(1));
  EXPECT_EQ(rows[1].branch, "main");
  EXPECT_EQ(rows[1].line, "main_old_1");
  EXPECT_EQ(rows[1].latest_time, At(50));
  const std::vector<WindowRow> old_rows = Window(a);
  ASSERT_EQ(old_rows.size(), 1U);
  EXPECT_EQ(old_rows[0].branch, "main_old_1");
}

TEST_F(WindowTest, FourKindsOfAnswerToATime) {
  TestLine main = make.Root("main");
  EXPECT_EQ(LsnOf(main, 10).kind, "nodata");
  main.Snapshot(5);
  const Lsn stop = main.wal.last_end();
  main.Ship();
  EXPECT_EQ(LsnOf(main, 10).kind, "nodata");
  EXPECT_EQ(LsnOf(main, 10).lsn, stop);
  EXPECT_EQ(LsnOf(main, 1).kind, "nodata");
  const Moment one = main.Commit(20);
  const Moment two = main.Commit(30);
  main.Switch().Ship();
  EXPECT_EQ(LsnOf(main, 1).kind, "past");
  EXPECT_EQ(LsnOf(main, 1).lsn, stop);
  const LsnAt present = LsnOf(main, 25);
  EXPECT_EQ(present.kind, "present");
  EXPECT_EQ(present.lsn, one.start);
  EXPECT_EQ(present.commit->event.xid, one.xid);
  EXPECT_EQ(present.timeline, 1U);
  for (const double seconds : {30.0, 500.0}) {
    EXPECT_EQ(LsnOf(main, seconds).kind, "future");
    EXPECT_EQ(LsnOf(main, seconds).lsn, two.start);
  }
  const LsnAt at_stop = LsnOf(main, 10);
  EXPECT_EQ(at_stop.kind, "present");
  EXPECT_EQ(at_stop.lsn, stop);
}

TEST_F(WindowTest, TimesAreAnsweredWithoutASnapshotToo) {
  TestLine main = make.Root("main");
  const Moment one = main.Commit(20);
  main.Commit(40);
  main.Commit(25);
  main.Switch().Ship();
  const LsnAt present = LsnOf(main, 30);
  EXPECT_EQ(present.kind, "present");
  EXPECT_EQ(present.lsn, one.start);
  EXPECT_EQ(present.out_of_order, 1);
  EXPECT_EQ(LsnOf(main, 10).kind, "past");
}

// The answer can be pasted into a restore: it takes that commit and none after it.
TEST_F(WindowTest, TheLsnOfATimeRestoresThatCommit) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  for (int i = 0; i < 20; i++) {
    main.Commit(10 + i);
  }
  main.Switch().Ship();
  for (int i = 0; i < 20; i++) {
    const LsnAt answer = LsnOf(main, 10.5 + i);
    const RestorePlan by_lsn = Take(make.Plan(make.Bare(main, answer.lsn.ToString())));
    const RestorePlan by_time = Take(make.Plan(make.BareTime(main, At(10.5 + i))));
    EXPECT_EQ(by_lsn.record_start, by_time.record_start);
  }
}

TEST_F(WindowTest, ATimeInAGapIsSaidToBe) {
  TestLine main = make.Root("main");
  main.Snapshot(5);
  main.Commit(10);
  main.Switch();
  main.Commit(20);
  main.Switch();
  main.Commit(30);
  main.Switch().Ship();
  make.RemoveSegment(main.id, {1, 3});
  EXPECT_EQ(FindLsnAt(make.repo(), make.set, main.id, At(15)).status().code(), Code::kGap);
  EXPECT_EQ(LsnOf(main, 10).kind, "future");
}

TEST_F(WindowTest, TheTimeOfAnLsnIsThatOfTheCommitThatARestoreToItTakes) {
  TestLine main = make.Root("main");
  const Moment one = main.Commit(10);
  main.Write();
  const Moment two = main.Commit(20);
  const Moment three = main.Commit(30);
  main.Switch().Ship();
  const auto time_of = [&](Lsn lsn) {
    return Take(FindTimeOf(make.repo(), make.set, main.id, lsn));
  };
  EXPECT_EQ(time_of(one.end).last->event.xid, one.xid);
  EXPECT_EQ(time_of(one.end).next->event.xid, two.xid);
  EXPECT_EQ(time_of(two.start).last->event.xid, two.xid);
  EXPECT_EQ(time_of(two.start).next->event.xid, three.xid);
  EXPECT_EQ(time_of({two.start.value - 8}).last->event.xid, one.xid);
  EXPECT_FALSE(time_of(three.end).next.has_value());
  EXPECT_EQ(FindTimeOf(make.repo(), make.set, main.id, {0xF00000000}).status().code(),
            Code::kOutsideWindow);
}

}  // namespace
}  // namespace pitr
