// The last WAL of a directory that a crash left: what waited, and the valid part of the open segment.
#include "core/work/ship_rest.h"

#include <gtest/gtest.h>

#include "unit/support/fake_cluster.h"
#include "unit/support/history_maker.h"

namespace pitr {
namespace {

// A fake cluster (control file: timeline 1, redo in segment 2) with WAL of ours in it.
class ShipRestTest : public testing::Test {
 protected:
  ShipRestTest() : cluster_(JoinPath(dir_.path(), "data")) {
    options_.branch = "br-a-b-00000001";
    options_.root = wal::TestRoot();
    options_.root.segment_size = 16U << 20;
    options_.compression_level = 1;
  }
  std::string Wal(const std::string& name) { return "pg_wal/" + name; }
  void Put(const std::string& name, ByteView bytes) {
    std::string padded(AsText(bytes));
    padded.resize(options_.root.segment_size, '\0');
    cluster_.Put(Wal(name), padded);
  }
  WalReader Reader() {
    Branch branch;
    branch.id = options_.branch;
    branch.root = options_.root;
    return WalReader(maker_.repo(), {branch});
  }

  TempDir dir_;
  FakeCluster cluster_;
  HistoryMaker maker_;
  ShipOptions options_;
};

TEST_F(ShipRestTest, ShipsWaitingSegmentsAndTheOpenOneUpToItsLastRecord) {
  wal::WalBuilder wal(options_.root, 1, SegmentStart(2, options_.root.segment_size));
  wal.Commit(700, At(1)).Switch();
  const Bytes full = wal.Bytes();
  ASSERT_EQ(full.size(), options_.root.segment_size);
  wal.Commit(701, At(2)).Filler(4000).Commit(702, At(3));
  const Bytes all = wal.Bytes();
  Put("000000010000000000000002", full);
  cluster_.Put("pg_wal/archive_status/000000010000000000000002.ready", "");
  Put("000000010000000000000003", ByteView(all).subspan(full.size()));
  const Lsn end = Take(ShipRest(maker_.repo(), options_, cluster_.path()));
  EXPECT_EQ(end, wal.last_end());
  const WalReader reader = Reader();
  EXPECT_FALSE(Take(reader.FindSegment({1, 2})).from_tail);
  EXPECT_TRUE(Take(reader.FindSegment({1, 3})).from_tail);
  EXPECT_EQ(Take(reader.ReadIndex({1, 3})).events.size(), 2U);
  // Again, as after a kill in between: the same.
  EXPECT_EQ(Take(ShipRest(maker_.repo(), options_, cluster_.path())), end);
}

TEST_F(ShipRestTest, StopsAtARecycledFile) {
  wal::WalBuilder wal(options_.root, 1, SegmentStart(2, options_.root.segment_size));
  wal.Commit(700, At(1)).Switch();
  const Bytes full = wal.Bytes();
  Put("000000010000000000000002", full);
  Put("000000010000000000000003", full);  // content of another segment waits for its turn
  const Lsn end = Take(ShipRest(maker_.repo(), options_, cluster_.path()));
  EXPECT_TRUE(end.valid());
  EXPECT_EQ(Reader().FindSegment({1, 3}).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace pitr
