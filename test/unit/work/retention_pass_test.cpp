// Retention on histories with WAL: whatever a window holds can be restored afterwards as before, the judge being the planner of restores itself. Random
// trees of branches, also with deaths at any step.
#include "core/work/retention_pass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "core/base/json.h"
#include "core/plan/retention_view.h"
#include "core/repo/catalogue.h"
#include "core/repo/pins.h"
#include "core/repo/records.h"
#include "core/repo/wal_removals.h"
#include "core/work/retained_wal.h"
#include "unit/support/fault_store.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

constexpr std::int64_t kGrace = 100;  // s

std::shared_ptr<MemoryObjects> CopyOf(const std::shared_ptr<MemoryObjects>& objects) {
  auto copy = std::make_shared<MemoryObjects>();
  copy->objects = objects->objects;
  return copy;
}

std::unique_ptr<Repository> OpenOver(const std::shared_ptr<MemoryObjects>& objects) {
  return *Repository::Open(std::make_unique<MemoryStore>(objects), false);
}

class RetentionPassTest : public ::testing::Test {
 protected:
  RetentionPassTest() { make.snapshot_model.origin = "first"; }
  // Puts the branches of the maker into its catalogue.
  void Publish() {
    const Status status = UpdateBranches(make.repo(), [&](BranchSet* set) {
      *set = make.set;
      return Status::Ok();
    });
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void SetWindow(const BranchId& id, std::int64_t seconds) {
    ASSERT_TRUE(UpdateRetentionRules(make.repo(), make.set, id, [&](RetentionRules* rules) {
                  rules->window_seconds = seconds;
                  return Status::Ok();
                }).ok());
  }
  void Flag(const SnapshotId& id, const char* name) {
    ASSERT_TRUE(UpdateDocument(make.repo(), "snapshots", [&](Json* document) {
                  (*document)[id][name] = true;
                  return Status::Ok();
                }).ok());
  }
  RetentionPassOptions Options(double seconds) {
    RetentionPassOptions options;
    options.question.self = make.set.branches.front().id;
    for (const Branch& branch : make.set.branches) {
      options.question.minded.insert(branch.id);
    }
    options.question.server = {60, 1};
    options.question.now = At(seconds);
    options.grace_seconds = kGrace;
    options.operation = "op-20261120T100000-00000001";
    return options;
  }
  RetentionPassResult Pass(double seconds) {
    return Take(RunRetentionPass(make.repo(), Options(seconds)));
  }
  std::vector<RetentionPreviewRow> Preview(double seconds) {
    const auto view = Take(ReadRetentionView(make.repo(), Options(seconds).question));
    return Take(PreviewRetention(make.repo(), *view, PlanRetention(view->input), ""));
  }
  std::set<SnapshotId> Snapshots() {
    std::set<SnapshotId> ids;
    for (const ManifestHead& head : Take(ListSnapshots(make.repo(), nullptr))) {
      ids.insert(head.manifest.id);
    }
    return ids;
  }
  std::size_t Objects(const std::string& prefix) {
    return Take(make.repo()->store()->List(prefix)).size();
  }
  bool Plans(const TestLine& line, const std::string& point) {
    return make.Plan(make.Source(line, point)).ok();
  }
  Code Refusal(const TestLine& line, const std::string& point) {
    return make.Plan(make.Source(line, point)).status().code();
  }
  std::string PointOf(const TestLine& line, const Moment& moment) {
    return make.set.FindId(line.id)->name + "@" + moment.start.ToString();
  }

  HistoryMaker make;
};

TEST_F(RetentionPassTest, MarksThenRemovesWhatNobodyNeeds) {
  TestLine main = make.Root("main");
  main.keeps_wal = false;
  std::vector<SnapshotId> snapshots;
  std::vector<Moment> moments;
  for (int i = 0; i < 6; i++) {
    snapshots.push_back(main.Snapshot(i * 100 + 10));
    main.Switch();
    moments.push_back(main.Commit(i * 100 + 50));
    main.Switch();
  }
  main.Ship();
  Publish();
  make.now = At(800);
  // The window of 60 s begins behind all of them: the newest one stays.
  const std::vector<RetentionPreviewRow> rows = Preview(600);
  ASSERT_EQ(rows.size(), 6U);
  EXPECT_EQ(rows[0].kind, "snapshot");
  EXPECT_EQ(rows[5].kind, "wal");
  EXPECT_EQ(rows[5].window_start_after, At(510));
  EXPECT_GT(rows[5].freed_bytes, 0U);
  const RetentionPassResult first = Pass(600);
  EXPECT_EQ(first.marked.size(), 5U);
  EXPECT_FALSE(first.DidSomething());
  EXPECT_TRUE(Plans(main, PointOf(main, moments[0]))) << "still there";
  EXPECT_TRUE(Pass(600 + kGrace - 1).removed.empty()) << "not before its time";
  const RetentionPassResult second = Pass(600 + kGrace);
  EXPECT_EQ(second.removed.size(), 5U);
  EXPECT_GT(second.removed_objects, 5U);
  EXPECT_FALSE(second.has_more);
  EXPECT_EQ(second.notes.size(), 1U);
  EXPECT_EQ(Snapshots(), std::set<SnapshotId>{snapshots[5]});
  EXPECT_EQ(Refusal(main, PointOf(main, moments[4])), Code::kNoSnapshot);
  EXPECT_TRUE(Plans(main, PointOf(main, moments[5])));
  EXPECT_TRUE(Plans(main, "main"));
  EXPECT_TRUE(Preview(800).empty());
  const RetentionPassResult third = Pass(900);
  EXPECT_TRUE(third.marked.empty() && !third.DidSomething());
  EXPECT_EQ(make.Open(main.id)->stretches().size(), 1U);
}

TEST_F(RetentionPassTest, ALongerWindowTakesMarksBack) {
  TestLine main = make.Root("main");
  const SnapshotId old = main.Snapshot(10);
  const Moment moment = main.Commit(50);
  main.Switch();
  main.Snapshot(500);
  main.Switch().Ship();
  Publish();
  make.now = At(900);
  EXPECT_EQ(Pass(600).marked, std::vector<SnapshotId>{old});
  SetWindow(main.id, 1000);
  EXPECT_EQ(Pass(650).taken_back, std::vector<SnapshotId>{old});
  EXPECT_FALSE(Pass(600 + kGrace).DidSomething());
  SetWindow(main.id, 60);
  EXPECT_EQ(Pass(800).marked, std::vector<SnapshotId>{old});
  EXPECT_FALSE(Pass(800 + kGrace - 1).DidSomething())
      << "the grace period begins anew, for WAL too";
  EXPECT_TRUE(Plans(main, PointOf(main, moment)));
  EXPECT_TRUE(Pass(800 + kGrace).DidSomething());
  EXPECT_FALSE(Plans(main, PointOf(main, moment)));
}

TEST_F(RetentionPassTest, WhoKeepsOrPinsInTimeKeepsIt) {
  TestLine main = make.Root("main");
  const SnapshotId kept = main.Snapshot(10);
  main.Switch();
  const SnapshotId pinned = main.Snapshot(100);
  const Moment moment = main.Commit(150);
  main.Switch();
  const SnapshotId gone = main.Snapshot(200);
  main.Switch();
  main.Snapshot(500);
  main.Switch().Ship();
  Publish();
  make.now = At(900);
  EXPECT_EQ(Pass(600).marked.size(), 3U);
  Flag(kept, "kept");
  ASSERT_TRUE(PinSnapshot(make.repo(), NewPin(pinned, main.id, "/d", At(650))).ok());
  EXPECT_EQ(Pass(700).removed, std::vector<SnapshotId>{gone});
  EXPECT_TRUE(Snapshots().contains(kept) && Snapshots().contains(pinned));
  EXPECT_TRUE(Plans(main, PointOf(main, moment))) << "somebody may be replaying from it";
  // Between two of them is nothing that was lost.
  ASSERT_TRUE(UnpinBranch(make.repo(), main.id).ok());
  (void)Pass(1000);
  EXPECT_TRUE(Pass(1000 + kGrace).DidSomething());
  (void)Pass(1200);
  (void)Pass(1200 + kGrace);
  const auto line = make.Open(main.id);
  ASSERT_EQ(line->stretches().size(), 2U);
  EXPECT_TRUE(line->IsRemoved(line->stretches()[0].end, line->stretches()[1].begin));
  EXPECT_EQ(Refusal(main, PointOf(main, moment)), Code::kOutsideWindow);
  EXPECT_EQ(Refusal(main, "main@2026-11-20T10:02:40Z"), Code::kOutsideWindow);
  EXPECT_TRUE(Plans(main, "main@snapshot:" + kept));
  const Result<std::vector<WindowRow>> window = RestoreWindow(make.repo(), make.set, main.id);
  ASSERT_TRUE(window.ok());
  ASSERT_EQ(window->size(), 2U);
  EXPECT_TRUE(window->front().snapshot_only);
}

TEST_F(RetentionPassTest, NothingGoesWhileSomebodyWorksOrSomethingCannotBeRead) {
  TestLine main = make.Root("main");
  main.Snapshot(10);
  main.Switch();
  const SnapshotId second = main.Snapshot(200);
  main.Switch().Ship();
  Publish();
  EXPECT_EQ(Pass(600).marked.size(), 1U);
  OperationRecord record;
  record.id = "op-20261120T100000-00000002";
  record.kind = "restore";
  record.state = "running";
  record.branch = "main";
  record.started_at = At(600);
  ASSERT_TRUE(AppendOperation(make.repo(), record).ok());
  const RetentionPassResult waiting = Pass(800);
  EXPECT_FALSE(waiting.DidSomething());
  EXPECT_NE(waiting.postponed.find(record.id), std::string::npos);
  record.state = "done";
  record.finished_at = At(700);
  ASSERT_TRUE(AppendOperation(make.repo(), record).ok());
  // A manifest that cannot be read.
  Bytes& manifest = make.objects()->objects.at(layout::ManifestObject(second));
  manifest[manifest.size() - 80] ^= 1;
  const Result<RetentionPassResult> refused = RunRetentionPass(make.repo(), Options(800));
  EXPECT_EQ(refused.status().code(), Code::kCorrupt);
  EXPECT_NE(refused.status().message().find(second), std::string::npos);
  manifest[manifest.size() - 80] ^= 1;
  ASSERT_TRUE(UpdateDocument(make.repo(), "retention", [&](Json* document) {
                (*document)[main.id]["daily"] = "often";
                return Status::Ok();
              }).ok());
  EXPECT_EQ(RunRetentionPass(make.repo(), Options(800)).status().code(), Code::kCorrupt);
  ASSERT_TRUE(UpdateDocument(make.repo(), "retention", [&](Json* document) {
                document->erase(main.id);
                return Status::Ok();
              }).ok());
  EXPECT_TRUE(Pass(800).DidSomething());
}

TEST_F(RetentionPassTest, OnlyWhatIsMindedGoes) {
  TestLine main = make.Root("main");
  main.Snapshot(10);
  const Moment fork = main.Commit(20);
  main.Switch();
  main.Snapshot(200);
  main.Switch().Ship();
  TestLine child = make.Fork("child", main, fork, 2, 300);
  child.Commit(310);
  child.Switch();
  child.Snapshot(320);
  child.Commit(330);
  child.Switch();
  child.Snapshot(400);
  child.Switch().Ship();
  Publish();
  RetentionPassOptions options = Options(600);
  options.question.minded.erase(child.id);
  // Nobody knows the child's window here.
  EXPECT_TRUE(Take(RunRetentionPass(make.repo(), options)).marked.empty());
  ASSERT_TRUE(NoteServerRetention(make.repo(), child.id, {60, 1}).ok());
  EXPECT_EQ(Take(RunRetentionPass(make.repo(), options)).marked.size(), 1U)
      << "main's, not the child's";
  options.question.now = At(700);
  EXPECT_EQ(Take(RunRetentionPass(make.repo(), options)).removed.size(), 1U);
  EXPECT_TRUE(Plans(main, "main") && Plans(main, "child"));
}

TEST_F(RetentionPassTest, ABudgetIsKept) {
  TestLine main = make.Root("main");
  for (int i = 0; i < 5; i++) {
    main.Snapshot(i * 10 + 1);
    main.Switch();
  }
  main.Ship();
  Publish();
  (void)Pass(600);
  RetentionPassOptions options = Options(700);
  options.budget_ms = -1;
  const RetentionPassResult none = Take(RunRetentionPass(make.repo(), options));
  EXPECT_TRUE(none.has_more && !none.DidSomething());
  EXPECT_TRUE(Pass(700).DidSomething());
}

// -- random trees --------------------------------------------------------------------------------

class RandomTree {
 public:
  RandomTree(HistoryMaker* make, unsigned seed) : make_(*make), random_(seed) { Grow(); }

  struct Point {
    std::size_t line = 0;  // that may be asked for it
    Moment moment;
  };
  std::deque<TestLine>& lines() { return lines_; }
  double end() const { return now_; }
  bool Chance(int percent) { return Below(100) < percent; }
  int Below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  // Of each line, with what it took over from its ancestors.
  std::vector<Point> Points() const {
    std::vector<Point> points;
    for (std::size_t i = 0; i < lines_.size(); i++) {
      Lsn limit = kEndOfWal;
      const std::vector<const Branch*> ancestry = Take(make_.set.AncestryOf(lines_[i].id));
      for (const Branch* branch : ancestry) {
        const std::size_t at = IndexOf(branch->id);
        for (const Moment& moment : moments_[at]) {
          if (moment.end <= limit) points.push_back({i, moment});
        }
        if (branch->ancestor) limit = std::min(limit, branch->fork_lsn);
      }
    }
    return points;
  }

 private:
  std::size_t IndexOf(const BranchId& id) const {
    std::size_t at = 0;
    while (lines_[at].id != id)
      at++;
    return at;
  }

  void Grow() {
    lines_.push_back(make_.Root("line0"));
    lines_.back().keeps_wal = false;
    moments_.emplace_back();
    Snapshot(0);
    for (int step = 0; step < 60; step++) {
      now_ += 10;
      const std::size_t at = static_cast<std::size_t>(Below(static_cast<int>(lines_.size())));
      const int action = Below(100);
      if (action < 40) {
        moments_[at].push_back(lines_[at].Commit(now_));
      } else if (action < 65) {
        lines_[at].Switch();
      } else if (action < 90 || lines_.size() == 5) {
        Snapshot(at);
      } else {
        Fork(at);
      }
    }
    for (TestLine& line : lines_)
      line.Ship();
  }

  void Snapshot(std::size_t at) {
    make_.snapshot_model.origin = Chance(20) ? "manual" : Chance(50) ? "schedule" : "replay";
    make_.snapshot_model.expires_at.reset();
    if (Chance(40)) make_.snapshot_model.expires_at = At(now_ + Below(300));
    lines_[at].Snapshot(now_ + 1);
    if (Chance(70)) lines_[at].Switch();
  }

  // At its present end, which later forks of the others may lie before.
  void Fork(std::size_t at) {
    lines_[at].keeps_wal = true;
    const Moment moment = lines_[at].Commit(now_);
    lines_[at].keeps_wal = false;
    moments_[at].push_back(moment);
    moments_[at].back().wal.reset();
    const auto timeline = static_cast<TimelineId>(lines_.size() + 1);
    lines_.push_back(
        make_.Fork("line" + std::to_string(lines_.size()), lines_[at], moment, timeline, now_));
    lines_.back().keeps_wal = false;
    moments_.emplace_back();
  }

  HistoryMaker& make_;
  std::mt19937 random_;
  double now_ = 10;
  std::deque<TestLine> lines_;
  std::vector<std::vector<Moment>> moments_;
};

class RetentionTreeTest : public RetentionPassTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  void MakeTree() {
    tree_.emplace(&make, GetParam());
    for (std::size_t i = 0; i < tree_->lines().size(); i++) {
      Branch* branch = make.set.FindId(tree_->lines()[i].id);
      if (i > 0 && tree_->Chance(25)) {
        branch->deleted_at = At(1);
        branch->gone_at = tree_->Chance(70) ? At(2) : At(1e6);
      }
    }
    Publish();
    for (std::size_t i = 0; i < tree_->lines().size(); i++) {
      windows_.push_back(tree_->Below(4) * 150);
      SetWindow(tree_->lines()[i].id, windows_.back());
    }
    if (tree_->Chance(40)) LoseOne();
    for (const SnapshotId& id : Snapshots()) {
      if (tree_->Chance(10)) held_.push_back(id);
    }
    for (const SnapshotId& id : held_)
      Flag(id, "kept");
    make.now = At(1e5);
  }
  // A hole that is a loss.
  void LoseOne() {
    TestLine& line = tree_->lines()[static_cast<std::size_t>(
        tree_->Below(static_cast<int>(tree_->lines().size())))];
    const auto objects =
        Take(make.repo()->store()->List(layout::WalPrefix(line.id, line.timeline)));
    if (objects.empty()) return;
    const std::size_t at = static_cast<std::size_t>(tree_->Below(static_cast<int>(objects.size())));
    ASSERT_TRUE(make.repo()->store()->Remove(objects[at].name).ok());
  }
  bool IsGone(std::size_t line, double seconds) {
    const Branch* branch = make.set.FindId(tree_->lines()[line].id);
    return branch->deleted_at && GoneAt(*branch) <= At(seconds);
  }
  bool CanBeRestored(Repository* repo, const RandomTree::Point& point) {
    // Also of those that are deleted and may come back: by their line, whatever the name.
    PlanRequest request = make.BareTime(tree_->lines()[point.line], At(0));
    request.bare = false;
    request.point.kind = Point::Kind::kLsn;
    request.point.lsn = point.moment.start;
    const Result<RestorePlan> plan = PlanRestore(repo, make.set, request, nullptr, nullptr);
    return plan.ok() && plan->record_start == point.moment.start;
  }
  // What the windows hold at that moment and what can be restored now.
  std::vector<RandomTree::Point> Wanted(double seconds) {
    std::vector<RandomTree::Point> wanted;
    const std::vector<RandomTree::Point> points = tree_->Points();
    for (const RandomTree::Point& point : points) {
      const Timestamp start = At(seconds - static_cast<double>(windows_[point.line]));
      if (!IsGone(point.line, seconds) && point.moment.time >= start &&
          CanBeRestored(make.repo(), point)) {
        wanted.push_back(point);
      }
    }
    return wanted;
  }
  void CheckAll(Repository* repo, const std::vector<RandomTree::Point>& wanted,
                const std::string& when) {
    for (const RandomTree::Point& point : wanted) {
      EXPECT_TRUE(CanBeRestored(repo, point))
          << when << ": " << tree_->lines()[point.line].id << " at "
          << point.moment.start.ToString() << ", window " << windows_[point.line];
    }
    for (const SnapshotId& id : held_) {
      EXPECT_TRUE(repo->store()->Stat(layout::ManifestObject(id)).ok()) << when << ": " << id;
    }
  }
  // The newest state of each line that has one.
  std::vector<std::size_t> Heads(Repository* repo, double seconds) {
    std::vector<std::size_t> heads;
    for (std::size_t i = 0; i < tree_->lines().size(); i++) {
      PlanRequest request = make.BareTime(tree_->lines()[i], At(0));
      request.bare = false;
      request.point.kind = Point::Kind::kHead;
      if (!IsGone(i, seconds) && PlanRestore(repo, make.set, request, nullptr, nullptr).ok()) {
        heads.push_back(i);
      }
    }
    return heads;
  }

  std::optional<RandomTree> tree_;
  std::vector<std::int64_t> windows_;
  std::vector<SnapshotId> held_;
};

TEST_P(RetentionTreeTest, EveryPointThatMustRemainStillPlans) {
  MakeTree();
  const double marked = tree_->end() + tree_->Below(200), removed = marked + kGrace;
  const std::vector<RandomTree::Point> wanted = Wanted(removed);
  const std::vector<std::size_t> heads = Heads(make.repo(), removed);
  const std::size_t before = Objects("branches/") + Snapshots().size();
  (void)Pass(marked);
  CheckAll(make.repo(), wanted, "marked");
  EXPECT_EQ(before, Objects("branches/") + Snapshots().size());
  (void)Pass(removed);
  CheckAll(make.repo(), wanted, "removed");
  EXPECT_EQ(Heads(make.repo(), removed), heads);
  // And everything by and by, later.
  (void)Pass(removed + 5000);
  (void)Pass(removed + 5000 + kGrace);
  (void)Pass(removed + 5000 + 2 * kGrace);
  EXPECT_EQ(Heads(make.repo(), removed), heads) << "long after the windows";
  for (const RetentionPreviewRow& row : Preview(removed + 5000 + 2 * kGrace)) {
    ADD_FAILURE() << "left: " << row.kind << " " << row.id << ": " << row.reason;
  }
  EXPECT_LT(Objects("branches/") + Snapshots().size(), before);
}

class RetentionDeathTest : public RetentionTreeTest {};

TEST_P(RetentionDeathTest, DyingAtAnyStepLosesNothing) {
  MakeTree();
  const double marked = tree_->end() + 50, removed = marked + kGrace;
  const std::vector<RandomTree::Point> wanted = Wanted(removed);
  (void)Pass(marked);
  const RetentionPassOptions options = Options(removed);
  int operations = 0;
  {
    MemoryStore inner(CopyOf(make.objects()));
    auto store = std::make_unique<FaultStore>(&inner);
    const FaultStore* counter = store.get();
    const auto repo = *Repository::Open(std::move(store), false);
    ASSERT_TRUE(RunRetentionPass(repo.get(), options).ok());
    operations = counter->operations();
  }
  // From where it begins to change something on; each step costs a look at all points.
  for (int at = operations / 2; at < operations; at += 1 + operations / 20) {
    for (const FaultStore::Way way : {FaultStore::kDieBefore, FaultStore::kDieAfter}) {
      const auto objects = CopyOf(make.objects());
      MemoryStore inner(objects);
      const auto repo =
          *Repository::Open(std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at}), false);
      (void)RunRetentionPass(repo.get(), options);
      const auto after = OpenOver(objects);
      CheckAll(after.get(), wanted, "died at " + std::to_string(at));
      ASSERT_TRUE(RunRetentionPass(after.get(), Options(removed + kGrace)).ok());
      ASSERT_TRUE(RunRetentionPass(after.get(), Options(removed + 2 * kGrace)).ok());
      EXPECT_TRUE(Heads(after.get(), removed) == Heads(make.repo(), removed));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RetentionTreeTest, ::testing::Range(1U, 13U));
INSTANTIATE_TEST_SUITE_P(Seeds, RetentionDeathTest, ::testing::Range(1U, 4U));

}  // namespace
}  // namespace pitr
