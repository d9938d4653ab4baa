#include "core/plan/line_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/plan/coverage.h"
#include "core/plan/index_cache.h"
#include "core/plan/line_path.h"
#include "core/plan/line_state.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

using Borders = std::pair<Lsn, Lsn>;

class LineHistoryTest : public ::testing::Test {
 protected:
  Lsn StartOf(std::uint64_t number) const { return SegmentStart(number, make.root.segment_size); }
  HistoryMaker make;
};

std::vector<std::uint64_t> NumbersOf(const std::vector<LineHistory::PathSegment>& segments) {
  std::vector<std::uint64_t> numbers;
  for (const LineHistory::PathSegment& segment : segments) {
    numbers.push_back(segment.segment.number);
  }
  return numbers;
}

TEST_F(LineHistoryTest, ABranchWithoutWalHoldsNothing) {
  const TestLine main = make.Root("main");
  const auto line = make.Open(main.id);
  EXPECT_EQ(line->path().size(), 1U);
  EXPECT_TRUE(line->stretches().empty());
  EXPECT_EQ(line->StretchAt({0x300000}).status().code(), Code::kOutsideWindow);
  EXPECT_EQ(line->LastRecordEndingAt({0x300000}).status().code(), Code::kOutsideWindow);
}

TEST_F(LineHistoryTest, AStretchEndsWithTheLastWholeRecordAndTailPiecesCount) {
  TestLine main = make.Root("main");
  main.Write().Switch();
  const Moment open = main.Commit(10);
  main.Ship(false);
  EXPECT_EQ(make.Open(main.id)->stretches().at(0).end, StartOf(3));
  main.Ship(true);
  const auto line = make.Open(main.id);
  ASSERT_EQ(line->stretches().size(), 1U);
  EXPECT_EQ(line->stretches()[0].begin, StartOf(2));
  EXPECT_EQ(line->stretches()[0].end, open.end);
  const auto segments = line->SegmentsBetween(StartOf(2), open.end);
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_TRUE(segments[0].held && !segments[0].tail_only);
  EXPECT_TRUE(segments[1].held && segments[1].tail_only);
  EXPECT_GT(segments[0].stored_bytes, 0U);
}

// The archiver is behind: a segment is there in pieces up to its end, and the history goes on in the next one's.
TEST_F(LineHistoryTest, PiecesUpToTheEndOfASegmentLeadIntoTheNext) {
  TestLine main = make.Root("main");
  main.Commit(1);
  main.Switch();
  main.Ship();
  const Moment first = main.Commit(10);
  // The last record before the border runs over it.
  main.wal.FillTo({StartOf(4).value - 16});
  const Moment over = main.Commit(20);
  EXPECT_EQ(SegmentNumberOf(over.end, make.root.segment_size), 4U);
  const auto open = static_cast<std::uint32_t>(over.end - StartOf(4));
  make.ShipTail(main.id, {1, 4}, main.wal.Segment(2), open);
  make.ShipTail(main.id, {1, 3}, main.wal.Segment(1), 100000);
  EXPECT_EQ(make.Open(main.id)->stretches().size(), 2U);
  make.ShipTail(main.id, {1, 3}, main.wal.Segment(1), make.root.segment_size);
  const auto line = make.Open(main.id);
  ASSERT_EQ(line->stretches().size(), 1U);
  EXPECT_EQ(line->stretches()[0].end, over.end);
  const Neighbours around = Take(line->AtTime(At(30), true, StartOf(2)));
  ASSERT_TRUE(around.last.has_value());
  EXPECT_EQ(around.last->event.start, over.start);
  EXPECT_EQ(Take(line->AtTime(At(15), true, StartOf(2))).last->event.start, first.start);
}

TEST_F(LineHistoryTest, ATailPieceThatEndsInsideARecordEndsBeforeIt) {
  TestLine main = make.Root("main");
  const Moment whole = main.Commit(10);
  main.Write(20000);
  make.ShipTail(main.id, {1, 2}, main.wal.Segment(0),
                static_cast<std::uint32_t>(whole.end - StartOf(2)) + 8192);
  EXPECT_EQ(make.Open(main.id)->stretches().at(0).end, whole.end);
}

TEST_F(LineHistoryTest, ASegmentThatIsMissingSplitsTheHistory) {
  TestLine main = make.Root("main");
  for (int i = 0; i < 4; i++) {
    main.Commit(i);
    main.Switch();
  }
  main.Ship();
  make.RemoveSegment(main.id, {1, 3});
  const auto line = make.Open(main.id);
  ASSERT_EQ(line->stretches().size(), 2U);
  EXPECT_EQ(line->stretches()[0].end, StartOf(3));
  EXPECT_EQ(line->stretches()[1].begin, StartOf(4));
  EXPECT_EQ(line->StretchAt({StartOf(3).value + 100}).status().code(), Code::kGap);
  EXPECT_EQ(line->LastRecordEndingAt({StartOf(3).value + 100}).status().code(), Code::kGap);
  EXPECT_EQ(line->StretchAt({StartOf(6).value + 100}).status().code(), Code::kOutsideWindow);
  EXPECT_EQ(line->StretchAt({100}).status().code(), Code::kOutsideWindow);
  const auto segments = line->SegmentsBetween(StartOf(2), StartOf(5));
  EXPECT_EQ(NumbersOf(segments), (std::vector<std::uint64_t>{2, 3, 4}));
  EXPECT_TRUE(segments[0].held);
  EXPECT_FALSE(segments[1].held);
  EXPECT_EQ(segments[1].segment.timeline, 1U);
}

// Both forms of one place: the end of a page, and where the next record begins behind its header.
TEST_F(LineHistoryTest, PageBordersHaveTwoNames) {
  const std::uint64_t size = make.root.segment_size;
  for (const std::uint64_t offset : {0, 1, 24, 39, 40}) {
    EXPECT_EQ(AsEnd(StartOf(3) + offset, size), StartOf(3)) << offset;
    EXPECT_EQ(AsStart(StartOf(3) + offset, size), StartOf(3) + 40) << offset;
  }
  for (const std::uint64_t offset : {8192, 8193, 8216}) {
    EXPECT_EQ(AsEnd(StartOf(3) + offset, size), StartOf(3) + 8192) << offset;
    EXPECT_EQ(AsStart(StartOf(3) + offset, size), StartOf(3) + 8216) << offset;
  }
  EXPECT_EQ(AsEnd(StartOf(3) + 48, size), StartOf(3) + 48);
  EXPECT_EQ(AsStart(StartOf(3) + 8224, size), StartOf(3) + 8224);
}

// Against the list of all records, at every border of a record and around it.
TEST_F(LineHistoryTest, TheLastRecordIsFoundAtEveryPlace) {
  TestLine main = make.Root("main");
  main.keeps_wal = false;
  std::mt19937 random(7);
  std::vector<Borders> records;
  const auto keep = [&] { records.push_back({main.wal.last_start(), main.wal.last_end()}); };
  while (main.Segment() < 5) {
    const std::uint32_t kind = random() % 10;
    if (kind == 0) {
      main.Commit(1);
    } else {
      main.Write(kind == 1 ? 40000 : 32 + random() % 3000);
    }
    keep();
  }
  main.Write(3U << 20);  // over more than two segments
  keep();
  main.Commit(2);
  keep();
  const Lsn unknown = records.back().second;  // the filling is of several records
  main.wal.FillTo({StartOf(main.Segment() + 1).value - 24});
  keep();
  main.Commit(3);  // over the border
  keep();
  main.Ship();
  const auto line = make.Open(main.id);
  EXPECT_EQ(line->stretches().at(0).end, records.back().second);
  std::vector<Lsn> places;
  for (std::size_t i = 1; i < records.size();
       i += i + 30 < records.size() ? 1 + random() % 40 : 1) {
    const Lsn end = records[i].second;
    places.insert(places.end(),
                  {{end.value - 8}, {end.value - 1}, end, end + 1, end + 8, end + 40});
  }
  for (const Lsn place : places) {
    const Lsn end = AsEnd(place, make.root.segment_size);
    const bool is_in_filling = end > unknown && end < records[records.size() - 2].second;
    if (end > records.back().second || is_in_filling) {
      continue;
    }
    const auto expected = std::find_if(records.rbegin(), records.rend(),
                                       [&](const Borders& r) { return r.second <= end; });
    const Result<Borders> found = line->LastRecordEndingAt(place);
    ASSERT_TRUE(found.ok()) << place.ToString() << found.status().ToString();
    EXPECT_EQ(found->first, expected->first) << place.ToString();
    EXPECT_EQ(found->second, expected->second) << place.ToString();
  }
  EXPECT_EQ(line->LastRecordEndingAt(records.front().second + 0)->first, records.front().first);
  EXPECT_EQ(line->LastRecordEndingAt({records.front().second.value - 8}).status().code(),
            Code::kOutsideWindow);
  EXPECT_EQ(line->LastRecordEndingAt({records.back().second.value + 64}).status().code(),
            Code::kOutsideWindow);
}

TEST_F(LineHistoryTest, ARecordThatWasGivenUpAtACrashIsPassedOver) {
  TestLine main = make.Root("main");
  const Moment before = main.Commit(1);
  main.wal.FillTo({StartOf(3).value - 64});
  const Lsn filler_end = main.wal.last_end();
  wal::WalRecord lost;
  lost.resource_manager = 21;
  lost.main_data.assign(300, 1);
  main.wal.BreakOff(lost);
  const Moment after = main.Commit(2);
  main.Switch().Ship();
  const auto line = make.Open(main.id);
  ASSERT_EQ(line->stretches().size(), 1U);
  EXPECT_EQ(line->LastRecordEndingAt(StartOf(3))->second, filler_end);
  std::vector<Xid> seen;
  ASSERT_TRUE(line->VisitEvents({},
                                [&](const wal::Event& event, TimelineId) {
                                  seen.push_back(event.xid);
                                  return true;
                                })
                  .ok());
  EXPECT_EQ(seen, (std::vector<Xid>{before.xid, after.xid}));
}

TEST_F(LineHistoryTest, ACommitOverABorderIsSeenOnceByEveryQuestion) {
  for (const std::uint64_t room : {8, 16, 24, 32}) {
    SCOPED_TRACE(room);
    HistoryMaker own;
    TestLine main = own.Root("main");
    const Moment first = main.Commit(1);
    main.wal.FillTo({StartOf(3).value - room});
    const Moment over = main.Commit(2);
    ASSERT_LT(over.start, StartOf(3));
    ASSERT_GT(over.end, StartOf(3));
    const Moment last = main.Commit(3);
    main.Switch().Ship();
    const auto line = own.Open(main.id);
    std::vector<Xid> seen;
    ASSERT_TRUE(line->VisitEvents({},
                                  [&](const wal::Event& event, TimelineId) {
                                    seen.push_back(event.xid);
                                    return true;
                                  })
                    .ok());
    EXPECT_EQ(seen, (std::vector<Xid>{first.xid, over.xid, last.xid}));
    EXPECT_EQ((*line->FindXid(over.xid))->event.start, over.start);
    EXPECT_EQ(line->AtLsn(StartOf(3) + 8, {})->next->event.xid, over.xid);
    EXPECT_EQ(line->AtLsn(over.end, {})->last->event.xid, over.xid);
    EXPECT_EQ(line->AtLsn(over.end, {})->next->event.xid, last.xid);
    EXPECT_EQ(line->AtTime(At(2), true, StartOf(2))->last->event.xid, over.xid);
    EXPECT_EQ(line->AtTime(At(1.5), true, StartOf(2))->last->event.xid, first.xid);
    EXPECT_EQ(line->AtTime(At(1.5), true, StartOf(2))->next->event.xid, over.xid);
    EXPECT_EQ((*line->EventStartingAt(over.start))->event.xid, over.xid);
  }
}

TEST_F(LineHistoryTest, TheWalkByTimeStopsAsTheServerDoes) {
  TestLine main = make.Root("main");
  const Moment one = main.Commit(10);
  const Moment two = main.Commit(20), again = main.Commit(20);
  const Moment three = main.Commit(30);
  main.Switch().Ship();
  const auto line = make.Open(main.id);
  const auto last = [&](double seconds, bool inclusive) {
    const Neighbours around = Take(line->AtTime(At(seconds), inclusive, StartOf(2)));
    return around.last.has_value() ? around.last->event.xid : 0;
  };
  EXPECT_EQ(last(9, true), 0U);
  EXPECT_EQ(last(10, false), 0U);
  EXPECT_EQ(last(10, true), one.xid);
  EXPECT_EQ(last(15, true), one.xid);
  EXPECT_EQ(last(20, false), one.xid);
  EXPECT_EQ(last(20, true), again.xid) << "all commits of one time are in";
  EXPECT_EQ(last(1000, true), three.xid);
  const Neighbours between = Take(line->AtTime(At(25), true, StartOf(2)));
  EXPECT_TRUE(between.beyond);
  EXPECT_EQ(between.next->event.xid, three.xid);
  EXPECT_EQ(between.out_of_order, 0);
  EXPECT_FALSE(line->AtTime(At(1000), true, StartOf(2))->beyond);
  EXPECT_EQ(Take(line->AtTime(At(25), true, two.end)).last->event.xid, again.xid);
  EXPECT_FALSE(Take(line->AtTime(At(25), true, again.end)).last.has_value());
}

TEST_F(LineHistoryTest, AnAbortStopsTheWalkButIsNoNeighbour) {
  TestLine main = make.Root("main");
  const Moment in = main.Commit(10);
  main.Abort(30);
  const Moment early = main.Commit(20);  // the clock went back
  main.Switch().Ship();
  const Neighbours around = Take(make.Open(main.id)->AtTime(At(25), true, StartOf(2)));
  EXPECT_EQ(around.last->event.xid, in.xid);
  EXPECT_EQ(around.next->event.xid, early.xid);
  EXPECT_EQ(around.out_of_order, 1);
  EXPECT_TRUE(around.beyond);
}

TEST_F(LineHistoryTest, PreparedTransactionsCountByTheirCommit) {
  TestLine main = make.Root("main");
  const Moment in = main.Commit(10);
  const Moment prepared = main.Prepare(20, "gid");
  main.wal.CommitPrepared(prepared.xid, At(40), "gid");
  main.Switch().Ship();
  const auto line = make.Open(main.id);
  const Neighbours before = Take(line->AtTime(At(30), true, StartOf(2)));
  EXPECT_EQ(before.last->event.xid, in.xid);
  ASSERT_TRUE(before.prepared.has_value());
  EXPECT_EQ(before.prepared->event.start, prepared.start);
  EXPECT_FALSE(Take(line->AtTime(At(15), true, StartOf(2))).prepared.has_value());
  const Neighbours after = Take(line->AtTime(At(40), true, StartOf(2)));
  EXPECT_EQ(after.last->event.kind, wal::EventKind::kCommitPrepared);
  EXPECT_FALSE(after.prepared.has_value());
  EXPECT_EQ((*line->FindXid(prepared.xid))->event.kind, wal::EventKind::kCommitPrepared);
}

// What the server would do, written down as plainly as possible.
Neighbours Naive(const std::vector<Moment>& moments, const std::vector<bool>& is_abort,
                 Timestamp time, bool inclusive) {
  Neighbours around;
  std::size_t i = 0;
  for (; i < moments.size(); i++) {
    if (inclusive ? moments[i].time > time : moments[i].time >= time) {
      around.beyond = true;
      break;
    }
    if (!is_abort[i]) {
      around.last = CommitAt{{}, 1};
      around.last->event.xid = moments[i].xid;
    }
  }
  for (; i < moments.size(); i++) {
    if (is_abort[i]) {
      continue;
    }
    if (!around.next.has_value()) {
      around.next = CommitAt{{}, 1};
      around.next->event.xid = moments[i].xid;
    }
    around.out_of_order += (inclusive ? moments[i].time > time : moments[i].time >= time) ? 0 : 1;
  }
  return around;
}

Xid XidOf(const std::optional<CommitAt>& commit) { return commit ? commit->event.xid : 0; }

TEST_F(LineHistoryTest, AtTimeAgreesWithThePlainWalkWhateverTheClockDoes) {
  for (const double jitter : {0.0, 0.5, 200.0}) {
    SCOPED_TRACE(jitter);
    HistoryMaker own;
    TestLine main = own.Root("main");
    main.keeps_wal = false;
    std::mt19937 random(static_cast<unsigned>(jitter * 10) + 3);
    std::vector<Moment> moments;
    std::vector<bool> is_abort;
    double clock = 0;
    while (main.Segment() < 14) {
      main.Write(32 + random() % 60000);
      clock += random() % 50 == 0 ? 2000 : 10;
      const double time = clock + jitter * (static_cast<double>(random() % 1000) / 1000.0 - 0.5);
      is_abort.push_back(random() % 8 == 0);
      moments.push_back(is_abort.back() ? main.Abort(time) : main.Commit(time));
    }
    main.Switch().Ship();
    const auto line = own.Open(main.id);
    for (int i = 0; i < 300; i++) {
      const std::size_t which = random() % moments.size();
      const Timestamp time = {moments[which].time.micros + (i % 3 - 1) * 500000};
      const bool inclusive = random() % 2 == 0;
      const Neighbours expected = Naive(moments, is_abort, time, inclusive);
      const Neighbours found = Take(line->AtTime(time, inclusive, StartOf(2)));
      ASSERT_EQ(XidOf(found.last), XidOf(expected.last)) << FormatTime(time);
      ASSERT_EQ(XidOf(found.next), XidOf(expected.next)) << FormatTime(time);
      ASSERT_EQ(found.beyond, expected.beyond);
      ASSERT_EQ(found.out_of_order, expected.out_of_order) << FormatTime(time);
    }
  }
}

TEST_F(LineHistoryTest, FarTimesAreFoundWithoutReadingTheListsOnTheWay) {
  TestLine main = make.Root("main");
  main.keeps_wal = false;
  std::vector<Moment> moments;
  for (int i = 0; i < 60; i++) {
    moments.push_back(main.Commit(i * 600));
    main.Switch();
  }
  main.Ship();
  const auto line = make.Open(main.id);
  const std::uint64_t opened = line->bodies_read();
  EXPECT_EQ(line->AtTime(At(50 * 600 + 1), true, StartOf(2))->last->event.xid, moments[50].xid);
  EXPECT_LE(line->bodies_read() - opened, 4U);
  EXPECT_EQ(line->AtTime(At(1e6), true, StartOf(2))->last->event.xid, moments[59].xid);
  EXPECT_LE(line->bodies_read() - opened, 8U);
}

TEST_F(LineHistoryTest, AtLsnAgreesWithTheListOfCommits) {
  TestLine main = make.Root("main");
  main.keeps_wal = false;
  std::mt19937 random(11);
  std::vector<Moment> commits;
  while (main.Segment() < 9) {
    main.Write(32 + random() % 200000);
    commits.push_back(main.Commit(1));
  }
  main.Switch().Ship();
  const auto line = make.Open(main.id);
  for (int i = 0; i < 400; i++) {
    Lsn lsn = {StartOf(2).value + random() % (StartOf(9) - StartOf(2))};
    if (i % 4 == 0) {
      lsn = commits[random() % commits.size()].end;
    }
    Xid last = 0, next = 0;
    for (const Moment& commit : commits) {
      if (commit.end <= AsEnd(lsn, make.root.segment_size)) {
        last = commit.xid;
      } else if (next == 0) {
        next = commit.xid;
      }
    }
    const Neighbours around = Take(line->AtLsn(lsn, {}));
    ASSERT_EQ(XidOf(around.last), last) << lsn.ToString();
    ASSERT_EQ(XidOf(around.next), next) << lsn.ToString();
  }
  EXPECT_FALSE(line->AtLsn(commits[5].end, commits[5].end)->last.has_value());
}

TEST_F(LineHistoryTest, NamesAndTransactionsAreTheNewestOfThatName) {
  TestLine main = make.Root("main");
  main.RestorePoint(1, "here");
  main.Switch();
  main.wal.Commit(750, At(2));
  main.Switch();
  const Moment second = main.RestorePoint(3, "here");
  const Moment other = main.RestorePoint(4, "there");
  main.Switch();
  main.wal.Commit(750, At(5));
  const Moment wrapped = main.Now();
  const Moment aborted = main.Abort(6);
  main.Switch().Ship();
  const auto line = make.Open(main.id);
  EXPECT_EQ((*line->FindRestorePoint("here"))->event.start, second.start);
  EXPECT_EQ((*line->FindRestorePoint("there"))->event.start, other.start);
  EXPECT_FALSE(line->FindRestorePoint("nowhere")->has_value());
  EXPECT_EQ((*line->FindXid(750))->event.start, wrapped.start);
  EXPECT_FALSE(line->FindXid(751)->has_value());
  EXPECT_FALSE(line->FindXid(aborted.xid)->has_value());
  EXPECT_EQ((*line->FindAbort(aborted.xid))->event.start, aborted.start);
}

TEST_F(LineHistoryTest, IndexesAreVisitedWithTheirBlocksWhenAsked) {
  TestLine main = make.Root("main");
  main.wal.BlockTouch({1663, 5, 16384, 0}, 7);
  main.wal.FillTo({StartOf(3).value - 48});
  main.wal.BlockTouch({1663, 5, 16384, 0}, 9);  // over the border
  main.Switch().Ship();
  const auto line = make.Open(main.id);
  std::vector<std::size_t> blocks;
  for (const bool with_blocks : {true, false}) {
    ASSERT_TRUE(line->VisitIndexes(
                        StartOf(2), StartOf(3),
                        [&](const wal::SegmentIndex& index) {
                          std::size_t count = 0;
                          for (const auto& [relation, list] : index.blocks) {
                            count += list.size();
                          }
                          blocks.push_back(count);
                          return Status::Ok();
                        },
                        with_blocks)
                    .ok());
  }
  EXPECT_EQ(blocks, (std::vector<std::size_t>{2, 0 + blocks.back()}));
  EXPECT_LE(blocks.back(), 1U);
}

// ---- timelines ----

TEST_F(LineHistoryTest, APromotedLineRunsThroughItsAncestor) {
  TestLine main = make.Root("main");
  const Moment first = main.Commit(10);
  main.Switch();
  const Moment fork = main.Commit(20);
  const Moment lost = main.Commit(30);
  main.Switch().Ship();
  TestLine fresh = make.RestoreOver(main, "main_old", main, fork, 2, 100);
  const Moment added = fresh.Commit(110);
  fresh.Ship();
  const auto line = make.Open(fresh.id);
  ASSERT_EQ(line->path().size(), 2U);
  EXPECT_EQ(line->path()[0].timeline, 1U);
  EXPECT_EQ(line->path()[0].end, fork.end);
  EXPECT_EQ(line->path()[1].timeline, 2U);
  ASSERT_EQ(line->stretches().size(), 1U);
  EXPECT_EQ(line->stretches()[0].end, added.end);
  EXPECT_EQ(line->TimelineAt(fork.start), 1U);
  EXPECT_EQ(line->TimelineAt(fork.end), 2U);
  EXPECT_EQ(line->WriterAt(fork.start).branch.id, main.id);
  EXPECT_EQ(line->WriterAt(added.start).branch.id, fresh.id);
  EXPECT_TRUE(line->FindXid(first.xid)->has_value());
  EXPECT_TRUE(line->FindXid(fork.xid)->has_value());
  EXPECT_FALSE(line->FindXid(lost.xid)->has_value());
  EXPECT_EQ(line->AtLsn(fork.end, {})->next->event.xid, added.xid);
  // The old line keeps what the new one left.
  EXPECT_TRUE(make.Open(main.id)->FindXid(lost.xid)->has_value());
  EXPECT_FALSE(make.Open(main.id)->FindXid(added.xid)->has_value());
}

TEST_F(LineHistoryTest, ABranchWithoutOwnWalEndsAtItsFork) {
  TestLine main = make.Root("main");
  const Moment fork = main.Commit(20);
  const Moment later = main.Commit(30);
  main.Switch().Ship();
  make.AddBranch("dev", main, fork, "br-dev-x-1", 50);
  const auto line = make.Open("br-dev-x-1");
  EXPECT_EQ(line->path().back().end, fork.end);
  EXPECT_EQ(line->stretches().at(0).end, fork.end);
  EXPECT_EQ(line->LastRecordEndingAt(fork.end)->first, fork.start);
  EXPECT_EQ(line->LastRecordEndingAt(later.end).status().code(), Code::kOutsideWindow);
  EXPECT_FALSE(line->FindXid(later.xid)->has_value());
  EXPECT_FALSE(line->AtLsn(fork.end, {})->next.has_value());
  EXPECT_EQ(line->AtTime(At(40), true, StartOf(2))->last->event.xid, fork.xid);
}

TEST_F(LineHistoryTest, EitherCopyOfTheSwitchSegmentHoldsWhatLiesBeforeTheSwitch) {
  TestLine main = make.Root("main");
  main.Switch();
  const Moment fork = main.Commit(20);
  main.Commit(30);
  main.Switch().Ship();
  TestLine fresh = make.RestoreOver(main, "main_old", main, fork, 2, 100);
  const Moment added = fresh.Commit(110);
  fresh.Switch().Ship();
  const std::uint64_t number = SegmentNumberOf(fork.start, make.root.segment_size);

  // Only the newer copy: nothing is missing, and a recovery along 1 is told to take 2's.
  make.RemoveSegment(main.id, {1, number});
  const auto newer = make.Open(fresh.id);
  ASSERT_EQ(newer->stretches().size(), 1U);
  EXPECT_EQ(newer->stretches()[0].end, StartOf(number + 1));
  EXPECT_EQ(newer->LastRecordEndingAt(fork.end)->first, fork.start);
  const auto segments = newer->SegmentsBetween(StartOf(2), fork.end);
  EXPECT_TRUE(segments.back().held);
  EXPECT_EQ(segments.back().segment, (SegmentId{2, number}));
  EXPECT_TRUE(newer->FindXid(added.xid)->has_value());
}

TEST_F(LineHistoryTest, TheOlderCopyOfTheSwitchSegmentEndsAtTheSwitch) {
  TestLine main = make.Root("main");
  main.Switch();
  const Moment fork = main.Commit(20);
  const Moment lost = main.Commit(30);
  main.Switch().Ship();
  TestLine fresh = make.RestoreOver(main, "main_old", main, fork, 2, 100);
  fresh.Switch();
  const Moment added = fresh.Commit(110);
  fresh.Switch().Ship();
  const std::uint64_t number = SegmentNumberOf(fork.start, make.root.segment_size);
  make.RemoveSegment(fresh.id, {2, number});
  const auto line = make.Open(fresh.id);
  ASSERT_EQ(line->stretches().size(), 2U);
  EXPECT_EQ(line->stretches()[0].end, fork.end);
  EXPECT_EQ(line->stretches()[0].timeline, 1U);
  EXPECT_EQ(line->stretches()[1].begin, StartOf(number + 1));
  EXPECT_FALSE(line->FindXid(lost.xid)->has_value());
  EXPECT_TRUE(line->FindXid(added.xid)->has_value());
  EXPECT_TRUE(line->SegmentsBetween(StartOf(2), fork.end).back().held);
  const auto beyond = line->SegmentsBetween(StartOf(2), added.end);
  ASSERT_EQ(beyond.size(), 3U);
  EXPECT_FALSE(beyond[1].held);
  EXPECT_EQ(beyond[1].segment, (SegmentId{2, number})) << "what a recovery would ask for";
  EXPECT_EQ(line->AtTime(At(25), true, StartOf(2))->last->event.xid, fork.xid);
  EXPECT_FALSE(line->AtTime(At(25), true, StartOf(2))->next.has_value());
}

TEST_F(LineHistoryTest, APartialSegmentAndTailPiecesStandForTheOlderCopy) {
  for (const bool is_partial : {true, false}) {
    HistoryMaker own;
    TestLine main = own.Root("main");
    main.Switch();
    const Moment fork = main.Commit(20);
    main.Ship(false);
    if (is_partial) {
      own.ShipFile(main.id, SegmentName({1, 3}, own.root.segment_size) + ".partial",
                   main.wal.Segment(1));
    } else {
      main.Ship(true);
    }
    own.AddBranch("dev", main, fork, "br-dev-x-1", 50);
    const auto line = own.Open("br-dev-x-1");
    ASSERT_EQ(line->stretches().size(), 1U) << is_partial;
    EXPECT_EQ(line->stretches()[0].end, fork.end) << is_partial;
    EXPECT_EQ(line->LastRecordEndingAt(fork.end)->first, fork.start) << is_partial;
    EXPECT_TRUE(line->SegmentsBetween(StartOf(2), fork.end).back().tail_only);
  }
}

TEST_F(LineHistoryTest, ALineThatForkedBeforeItsAncestorTakesNothingOfIt) {
  TestLine main = make.Root("main");
  const Moment early = main.Commit(10);
  main.Switch();
  const Moment late = main.Commit(20);
  main.Switch().Ship();
  TestLine second = make.RestoreOver(main, "main_old_1", main, late, 2, 100);
  const Moment of_second = second.Commit(110);
  second.Switch().Ship();
  // Restored from the second to a point before the second began; as another branch it opens number 2 again.
  TestLine third = make.Fork("dev", second, early, 2, 200);
  const Moment of_third = third.Commit(210);
  third.Ship();
  const auto line = make.Open(third.id);
  ASSERT_EQ(line->lines().size(), 2U);
  EXPECT_EQ(line->lines()[1].branch.id, main.id);
  EXPECT_EQ(line->lines()[1].end, early.end);
  ASSERT_EQ(line->stretches().size(), 1U);
  EXPECT_EQ(line->stretches()[0].end, of_third.end);
  EXPECT_FALSE(line->FindXid(of_second.xid)->has_value());
  EXPECT_FALSE(line->FindXid(late.xid)->has_value());
  EXPECT_TRUE(line->FindXid(early.xid)->has_value());
}

TEST_F(LineHistoryTest, SeveralSwitchesInOneSegment) {
  TestLine main = make.Root("main");
  const Moment a = main.Commit(10);
  main.Commit(15);
  main.Switch().Ship();
  TestLine second = make.RestoreOver(main, "old1", main, a, 2, 100);
  const Moment b = second.Commit(110);
  second.Commit(115);
  second.Switch().Ship();
  TestLine third = make.RestoreOver(second, "old2", second, b, 3, 200);
  const Moment c = third.Commit(210);
  third.Ship();
  const auto line = make.Open(third.id);
  ASSERT_EQ(line->path().size(), 3U);
  std::vector<Xid> seen;
  std::vector<TimelineId> timelines;
  ASSERT_TRUE(line->VisitEvents({},
                                [&](const wal::Event& event, TimelineId timeline) {
                                  seen.push_back(event.xid);
                                  timelines.push_back(timeline);
                                  return true;
                                })
                  .ok());
  EXPECT_EQ(seen, (std::vector<Xid>{a.xid, b.xid, c.xid}));
  EXPECT_EQ(timelines, (std::vector<TimelineId>{1, 2, 3}));
  EXPECT_EQ(line->SegmentsBetween(StartOf(2), a.end).at(0).segment.timeline, 1U);
  EXPECT_EQ(line->SegmentsBetween(StartOf(2), b.end).at(0).segment.timeline, 2U);
  EXPECT_EQ(line->SegmentsBetween(StartOf(2), c.end).at(0).segment.timeline, 3U);
}

TEST_F(LineHistoryTest, AServerThatWasPromotedKeepsItsLine) {
  TestLine main = make.Root("main");
  const Moment fork = main.Commit(10);
  main.Switch().Ship();
  main.wal = *fork.wal;
  main.timeline = 2;
  main.wal.Timeline(2).EndOfRecovery(2, 1);
  make.ShipFile(main.id, HistoryName(2), AsBytes("1\t" + fork.end.ToString() + "\tfailover\n"));
  TestLine promoted(&make, main.id, 2, main.wal, 2);
  const Moment added = promoted.Commit(20);
  promoted.Ship();
  const auto line = make.Open(main.id);
  ASSERT_EQ(line->path().size(), 2U);
  EXPECT_EQ(line->stretches().at(0).end, added.end);
  EXPECT_EQ(line->stretches().at(0).timeline, 2U);
}

TEST_F(LineHistoryTest, ATimelineWithoutItsHistoryFileIsTakenOnlyWhenThereIsNoOther) {
  TestLine main = make.Root("main");
  TestLine fifth(&make, main.id, 5, wal::WalBuilder(make.root, 5, StartOf(2)), 2);
  const Moment commit = fifth.Commit(10);
  fifth.Switch().Ship();
  const auto line = make.Open(main.id);
  EXPECT_EQ(line->path().at(0).timeline, 5U);
  EXPECT_TRUE(line->FindXid(commit.xid)->has_value());
  main.Write().Switch().Ship();
  EXPECT_EQ(make.Open(main.id)->path().at(0).timeline, 1U);
}

}  // namespace
}  // namespace pitr
