// Prepared transactions that a restored server would hold.
#include "core/plan/prepared.h"

#include <gtest/gtest.h>

#include "unit/support/history_maker.h"

namespace pitr {
namespace {

TEST(PreparedTest, NamesWhatIsPreparedAndNotFinishedAtTheTarget) {
  HistoryMaker maker;
  TestLine line = maker.Root("main");
  line.Snapshot(1);
  const Moment kept = line.Prepare(2, "stays open");
  const Moment other = line.Prepare(3, "is finished");
  line.Commit(4);
  line.wal.CommitPrepared(other.xid, At(5), "is finished");
  line.Commit(6);
  line.Ship();
  const RestorePlan early = Take(maker.Plan(maker.BareTime(line, At(4.5))));
  EXPECT_EQ(Take(PreparedAt(maker.repo(), maker.set, early)),
            (std::vector<std::string>{"stays open", "is finished"}));
  const RestorePlan late = Take(maker.Plan(maker.BareTime(line, At(7))));
  EXPECT_EQ(Take(PreparedAt(maker.repo(), maker.set, late)),
            (std::vector<std::string>{"stays open"}));
  const RestorePlan before = Take(maker.Plan(maker.BareTime(line, At(1.5))));
  EXPECT_EQ(Take(PreparedAt(maker.repo(), maker.set, before)), std::vector<std::string>{});
  EXPECT_NE(kept.xid, other.xid);
}

TEST(PreparedTest, KnowsTransactionsFromBeforeTheSnapshotByTheirFiles) {
  HistoryMaker maker;
  maker.snapshot_model.files.push_back({"pg_twophase", FileKind::kDirectory, 0700, 0, "", {}});
  maker.snapshot_model.files.push_back({"pg_twophase/000002BC", FileKind::kPlain, 0600, 0, "", {}});
  TestLine line = maker.Root("main");
  line.Snapshot(1);
  line.Commit(2);
  line.wal.AbortPrepared(700, At(3));
  line.Commit(4);
  line.Ship();
  const RestorePlan open = Take(maker.Plan(maker.BareTime(line, At(2.5))));
  EXPECT_EQ(Take(PreparedAt(maker.repo(), maker.set, open)), std::vector<std::string>{"xid 700"});
  const RestorePlan gone = Take(maker.Plan(maker.BareTime(line, At(5))));
  EXPECT_EQ(Take(PreparedAt(maker.repo(), maker.set, gone)), std::vector<std::string>{});
}

}  // namespace
}  // namespace pitr
