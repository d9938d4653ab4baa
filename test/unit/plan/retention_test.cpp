// What stays and what goes, on histories that are made up of numbers. Histories with WAL: work/retention_pass_test.cpp.
#include "core/plan/retention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

namespace pitr {
namespace {

constexpr std::uint64_t kSize = 1U << 20;
constexpr std::int64_t kHour = 3'600'000'000, kDay = 24 * kHour;
// 2026-11-20T10:00:00Z, a Friday.
constexpr std::int64_t kNow = 1795168800000000LL;

Lsn Seg(std::uint64_t number) { return SegmentStart(number, kSize); }

class RetentionTest : public ::testing::Test {
 protected:
  RetentionTest() {
    input_.now = {kNow};
    input_.root = {1, 15, kSize};
  }

  // A line that leaves `from` at the start of a segment, on the next timeline.
  void AddLine(const BranchId& id, std::int64_t window, const BranchId& from = "",
               std::uint64_t fork = 0) {
    Branch branch;
    branch.id = branch.name = id;
    branch.root = input_.root;
    RetainedLine line;
    line.window_start = Timestamp{kNow - window};
    if (!from.empty()) {
      const RetainedLine& parent = LineOf(from);
      branch.ancestor = from;
      branch.fork_lsn = Seg(fork);
      branch.fork_timeline = parent.path.back().timeline;
      line.lines = parent.lines;
      line.lines.front().end = Seg(fork);
      line.path = parent.path;
      line.path.back().end = Seg(fork);
    }
    timelines_++;
    line.lines.insert(line.lines.begin(), {branch, branch.fork_lsn, Lsn()});
    line.path.push_back({timelines_, branch.fork_lsn, Lsn()});
    input_.lines.push_back(std::move(line));
    input_.known.insert(id);
  }
  RetainedLine& LineOf(const BranchId& id) {
    return *std::find_if(input_.lines.begin(), input_.lines.end(),
                         [&](const RetainedLine& line) { return line.id() == id; });
  }
  void Hold(const BranchId& id, std::uint64_t first, std::uint64_t last) {
    SegmentList& list = input_.segments[{id, LineOf(id).path.back().timeline}];
    for (std::uint64_t number = first; number <= last; number++) {
      list.numbers.push_back(number);
      list.bytes.push_back(100);
    }
  }
  void Lose(const BranchId& id, std::uint64_t number) {
    SegmentList& list = input_.segments[{id, LineOf(id).path.back().timeline}];
    const auto at = std::find(list.numbers.begin(), list.numbers.end(), number);
    list.bytes.pop_back();
    list.numbers.erase(at);
  }
  // In segment `number`, finished so long ago.
  Manifest& Snapshot(const BranchId& id, std::uint64_t number, std::int64_t ago,
                     const std::string& origin = "first") {
    Manifest& manifest = manifests_.emplace_back();
    manifest.id = id + "@" + std::to_string(number);
    manifest.branch = id;
    manifest.root = input_.root;
    manifest.origin = origin;
    manifest.timeline = LineOf(id).path.back().timeline;
    manifest.start_lsn = Seg(number) + 40;
    manifest.stop_lsn = Seg(number) + 400;
    manifest.started_at = manifest.finished_at = {kNow - ago};
    input_.snapshots.push_back({&manifest, false, false, false});
    return manifest;
  }
  // Ids of those that stay, in order.
  std::string Stays() {
    plan_ = PlanRetention(input_);
    std::string text;
    for (std::size_t i = 0; i < plan_.snapshots.size(); i++) {
      EXPECT_FALSE(plan_.snapshots[i].reason.empty());
      if (plan_.snapshots[i].stays) {
        text += (text.empty() ? "" : " ") + input_.snapshots[i].manifest->id;
      }
    }
    return text;
  }
  // Numbers of needed segments: "3-5 9-".
  std::string Wal(const BranchId& id) {
    std::string text;
    for (const LsnRange& range : plan_.needed_wal[id]) {
      text += (text.empty() ? "" : " ") + std::to_string(range.begin.value / kSize) + "-" +
              (range.end == kEndOfWal ? "" : std::to_string(range.end.value / kSize - 1));
    }
    return text;
  }

  RetentionInput input_;
  std::deque<Manifest> manifests_;
  RetentionPlan plan_;
  TimelineId timelines_ = 0;
};

TEST_F(RetentionTest, TheWindowBeginsWithTheNewestSnapshotBeforeIt) {
  AddLine("a", kDay);
  Hold("a", 1, 50);
  Snapshot("a", 2, 5 * kDay);
  Snapshot("a", 10, 2 * kDay);
  Snapshot("a", 20, kDay);
  Snapshot("a", 30, kHour);
  EXPECT_EQ(Stays(), "a@20 a@30");
  EXPECT_EQ(Wal("a"), "20-");
  EXPECT_EQ(plan_.window_start.at("a"), Timestamp{kNow - kDay});
  LineOf("a").window_start = Timestamp{kNow};
  EXPECT_EQ(Stays(), "a@30") << "no history";
  EXPECT_EQ(Wal("a"), "30-") << "but the newest state";
  LineOf("a").window_start = Timestamp{kNow - 30 * kDay};
  EXPECT_EQ(Stays(), "a@2 a@10 a@20 a@30");
  EXPECT_EQ(Wal("a"), "2-");
}

TEST_F(RetentionTest, WhatIsWantedStaysWithItsOwnWal) {
  AddLine("a", kDay);
  Hold("a", 1, 50);
  Snapshot("a", 2, 9 * kDay, "manual");
  Snapshot("a", 4, 8 * kDay);
  input_.snapshots.back().kept = true;
  Snapshot("a", 6, 7 * kDay, "schedule");
  Snapshot("a", 8, 6 * kDay, "schedule").expires_at = Timestamp{kNow + kDay};
  Snapshot("a", 10, 5 * kDay, "manual").expires_at = Timestamp{kNow - kDay};
  Snapshot("a", 12, 4 * kDay, "replay");
  Snapshot("a", 20, 2 * kDay);
  EXPECT_EQ(Stays(), "a@2 a@4 a@6 a@8 a@20");
  EXPECT_EQ(Wal("a"), "2-2 4-4 6-6 8-8 20-");
  LineOf("a").rules.daily = 1;
  EXPECT_EQ(Stays(), "a@2 a@4 a@8 a@20") << "rules decide about the schedule's";
  input_.snapshots[5].pinned = true;
  EXPECT_EQ(Stays(), "a@2 a@4 a@8 a@12 a@20");
  EXPECT_EQ(Wal("a"), "2-2 4-4 8-8 12-") << "somebody may be replaying from it";
}

TEST_F(RetentionTest, ClassesKeepTheNewestOfEach) {
  AddLine("a", 0);
  Hold("a", 1, 1000);
  for (std::uint64_t i = 0; i < 400; i++) {
    Snapshot("a", i + 1, static_cast<std::int64_t>(400 - i) * 12 * kHour,
             i % 4 == 0 ? "schedule" : "replay");
  }
  LineOf("a").rules.daily = 3;
  EXPECT_EQ(Stays(), "a@396 a@398 a@400") << "late in the evening";
  LineOf("a").rules.daily.reset();
  LineOf("a").rules.monthly = 3;
  EXPECT_EQ(Stays(), "a@300 a@362 a@400") << "last of September and of October, the newest";
  LineOf("a").rules.monthly.reset();
  LineOf("a").rules.weekly = 2;
  EXPECT_EQ(Stays(), "a@392 a@400") << "Sunday evening";
  LineOf("a").rules.weekly.reset();
  LineOf("a").rules.keep_count = 2;
  EXPECT_EQ(Stays(), "a@393 a@397 a@400") << "scheduled ones count, and the newest is the window's";
}

TEST_F(RetentionTest, TheNewestGoodOnesStay) {
  AddLine("a", 0);
  Hold("a", 1, 50);
  for (std::uint64_t i = 1; i <= 9; i++) {
    Snapshot("a", i * 2, static_cast<std::int64_t>(10 - i) * 100 * kDay).expires_at =
        Timestamp{kNow - kDay};
  }
  EXPECT_EQ(Stays(), "a@18") << "the last one always";
  LineOf("a").minimum_snapshots = 3;
  EXPECT_EQ(Stays(), "a@14 a@16 a@18");
  input_.snapshots[8].damaged = true;
  EXPECT_EQ(Stays(), "a@12 a@14 a@16") << "good ones";
  Lose("a", 14);
  EXPECT_EQ(Stays(), "a@10 a@12 a@16") << "without its WAL it is none";
}

TEST_F(RetentionTest, ALineWithoutAGoodSnapshotKeepsAll) {
  AddLine("a", 0);
  Hold("a", 1, 50);
  Snapshot("a", 2, 5 * kDay);
  Snapshot("a", 4, 4 * kDay);
  input_.snapshots[0].damaged = input_.snapshots[1].damaged = true;
  EXPECT_EQ(Stays(), "a@2 a@4");
  EXPECT_EQ(Wal("a"), "0-");
  input_.snapshots.clear();
  EXPECT_EQ(Stays(), "");
  EXPECT_EQ(Wal("a"), "0-");
}

TEST_F(RetentionTest, SoDoesOneWhoseWindowIsNotKnown) {
  AddLine("a", 0);
  Hold("a", 1, 50);
  Snapshot("a", 2, 5 * kDay);
  Snapshot("a", 4, 4 * kDay);
  AddLine("b", 0, "a", 3);
  LineOf("b").window_start.reset();
  EXPECT_EQ(Stays(), "a@2 a@4");
  EXPECT_EQ(Wal("a"), "0-2 4-");
}

TEST_F(RetentionTest, AChildHoldsWhatItNeedsOfItsAncestors) {
  AddLine("a", kHour);
  Hold("a", 1, 50);
  Snapshot("a", 2, 9 * kDay);
  Snapshot("a", 10, 8 * kDay);
  Snapshot("a", 20, 7 * kDay);
  AddLine("b", 10 * kDay, "a", 15);
  Hold("b", 15, 40);
  Snapshot("b", 16, 6 * kDay);
  EXPECT_EQ(Stays(), "a@2 a@10 a@20 b@16");
  EXPECT_EQ(Wal("a"), "2-14 20-");
  EXPECT_EQ(Wal("b"), "2-");
  LineOf("b").window_start = Timestamp{kNow - 7 * kDay};
  EXPECT_EQ(Stays(), "a@10 a@20 b@16");
  EXPECT_EQ(Wal("a"), "10-14 20-");
  LineOf("b").window_start = Timestamp{kNow - 5 * kDay};
  EXPECT_EQ(Stays(), "a@20 b@16") << "it has a snapshot of its own that is old enough";
  EXPECT_EQ(Wal("a"), "20-");
  // The ancestor is deleted for good: what is behind the fork, or before the child's window, is nobody's.
  LineOf("b").window_start = Timestamp{kNow - 7 * kDay};
  input_.lines.erase(input_.lines.begin());
  EXPECT_EQ(Stays(), "a@10 b@16");
  EXPECT_EQ(Wal("a"), "10-14");
}

TEST_F(RetentionTest, OfABranchThatIsGoneNothingStays) {
  AddLine("a", kHour);
  Hold("a", 1, 50);
  Snapshot("a", 2, kDay, "manual");
  Snapshot("a", 3, kDay);
  input_.snapshots.back().kept = true;
  input_.lines.clear();
  EXPECT_EQ(Stays(), "a@3") << "but what is kept";
  EXPECT_EQ(Wal("a"), "3-3");
  input_.known.clear();
  EXPECT_EQ(Stays(), "a@2 a@3") << "it is not known to be gone";
}

TEST_F(RetentionTest, AnExpiredOneGoesUnlessItLeadsOverAGap) {
  AddLine("a", 10 * kDay);
  Hold("a", 1, 50);
  Snapshot("a", 2, 11 * kDay);
  for (const std::uint64_t number : {10, 20, 30}) {
    Snapshot("a", number, kDay, "schedule").expires_at = Timestamp{kNow - kHour};
  }
  EXPECT_EQ(Stays(), "a@2 a@30") << "and the newest";
  Lose("a", 15);
  EXPECT_EQ(Stays(), "a@2 a@20 a@30");
  input_.snapshots[2].damaged = true;
  EXPECT_EQ(Stays(), "a@2 a@30");
}

TEST_F(RetentionTest, AClockThatWentBackDoesNotShortenTheWindow) {
  AddLine("a", 2 * kHour);
  Hold("a", 1, 50);
  Snapshot("a", 2, 9 * kHour);
  Snapshot("a", 10, kHour);  // then the clock went back
  Snapshot("a", 20, 3 * kHour);
  EXPECT_EQ(Stays(), "a@2 a@10 a@20");
  // It stood a year ahead when that was taken, which is no reason to keep all for a year.
  manifests_[1].finished_at = {kNow + 365 * kDay};
  EXPECT_EQ(Stays(), "a@20");
}

TEST_F(RetentionTest, WhatIsHeld) {
  AddLine("a", kDay);
  Hold("a", 5, 9);
  Hold("a", 11, 40);
  AddLine("b", kDay, "a", 20);
  Hold("b", 20, 25);
  const RetainedLine& a = LineOf("a");
  const RetainedLine& b = LineOf("b");
  EXPECT_TRUE(IsHeld(input_.segments, a, Seg(5), Seg(10)));
  EXPECT_FALSE(IsHeld(input_.segments, a, Seg(5), Seg(10) + 1));
  EXPECT_FALSE(IsHeld(input_.segments, a, Seg(4), Seg(6)));
  EXPECT_TRUE(IsHeld(input_.segments, a, Seg(11), Seg(41)));
  EXPECT_FALSE(IsHeld(input_.segments, a, Seg(11), Seg(41) + 1));
  EXPECT_TRUE(IsHeld(input_.segments, b, Seg(11) + 100, Seg(26)));
  EXPECT_FALSE(IsHeld(input_.segments, b, Seg(11), Seg(27)))
      << "behind the fork those of the ancestor are another history";
  EXPECT_FALSE(IsHeld(input_.segments, a, Seg(5), Seg(5)));
  Lose("b", 20);
  EXPECT_FALSE(IsHeld(input_.segments, b, Seg(11), Seg(26)));
}

TEST_F(RetentionTest, AForkWithinASegment) {
  AddLine("a", kDay);
  Hold("a", 1, 30);
  AddLine("b", kDay, "a", 20);
  RetainedLine& b = LineOf("b");
  b.lines[0].branch.fork_lsn = b.lines[0].begin = b.lines[1].end = Seg(20) + 500;
  b.path[0].end = b.path[1].begin = Seg(20) + 500;
  EXPECT_TRUE(IsHeld(input_.segments, b, Seg(11), Seg(20) + 500))
      << "up to the fork the ancestor's serves";
  EXPECT_FALSE(IsHeld(input_.segments, b, Seg(11), Seg(20) + 600));
  Hold("b", 20, 25);
  EXPECT_TRUE(IsHeld(input_.segments, b, Seg(11), Seg(26)));
}

// The figures of the issue: ten thousand snapshots, a million segments.
TEST_F(RetentionTest, ManyOfThem) {
  AddLine("a", 5000 * kHour);
  Hold("a", 1, 1'000'000);
  for (std::uint64_t i = 0; i < 10'000; i++) {
    Snapshot("a", 1 + i * 100, static_cast<std::int64_t>(10'000 - i) * kHour).expires_at =
        Timestamp{kNow - (i % 2 == 0 ? kHour : -kHour)};
  }
  const std::int64_t began = SystemClock().MonotonicMillis();
  plan_ = PlanRetention(input_);
  RecordProperty("milliseconds", static_cast<int>(SystemClock().MonotonicMillis() - began));
  EXPECT_EQ(std::count_if(plan_.snapshots.begin(), plan_.snapshots.end(),
                          [](const SnapshotVerdict& verdict) { return verdict.stays; }),
            5001);
  EXPECT_LT(SystemClock().MonotonicMillis() - began, 20'000);
}

}  // namespace
}  // namespace pitr
