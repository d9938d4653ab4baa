// What an increment reads, and what of the snapshot before stays.
#include "core/work/increment_plan.h"

#include <gtest/gtest.h>

#include <string>

#include "core/work/known_frames.h"
#include "core/work/snapshot_items.h"

namespace pitr {
namespace {

constexpr std::uint32_t kSegmentBlocks = 1024;  // small, so that a relation has segments
using Runs = std::vector<PageRun>;

wal::RelFork Rel(std::uint32_t relation, std::uint32_t database = 5, std::uint32_t space = 1663) {
  return {space, database, relation, 0};
}

class IncrementPlanTest : public ::testing::Test {
 protected:
  // A file of the base, each run of 32 pages a frame of its own in pack 0, and of the directory as it is now.
  void File(const std::string& path, std::uint64_t base_pages, std::uint64_t pages,
            FileKind kind = FileKind::kRelation) {
    ManifestFile file{path, kind, 0600, base_pages * kPageSize, "", {}};
    for (std::uint64_t at = 0; at < file.size; at += kFrameSize) {
      const auto size =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(kFrameSize, file.size - at));
      file.extents.push_back({at, static_cast<std::uint32_t>(base_.frames.size()), 0, size});
      base_.frames.push_back({0, next_offset_, size / 4, size, base_.frames.size() + 1, false});
      next_offset_ += size / 4;
    }
    base_.files.push_back(file);
    Now(path, pages, kind);
  }
  void Now(const std::string& path, std::uint64_t pages, FileKind kind = FileKind::kRelation) {
    now_.push_back({path, kind, 0600, pages * kPageSize, "", {}});
  }
  IncrementPlan Plan() {
    base_.packs.resize(std::max<std::size_t>(base_.packs.size(), 1));
    IncrementInput input;
    input.base = &base_;
    input.changed = &changed_;
    input.relation_segment_blocks = kSegmentBlocks;
    input.least_compaction = least_compaction_;
    input.pack_sizes = pack_sizes_;
    return PlanIncrement(now_, input);
  }
  FilePlan PlanOf(const std::string& path) {
    const IncrementPlan plan = Plan();
    for (std::size_t i = 0; i < now_.size(); i++) {
      if (now_[i].path == path) {
        return plan.files[i];
      }
    }
    ADD_FAILURE() << path;
    return {};
  }
  bool IsWhole(const std::string& path) { return PlanOf(path).base == nullptr; }

  Manifest base_;
  ChangedPages changed_;
  std::vector<ManifestFile> now_;
  std::uint64_t least_compaction_ = 0;
  std::vector<std::uint64_t> pack_sizes_;

 private:
  std::uint64_t next_offset_ = kPackHeadSize;
};

TEST_F(IncrementPlanTest, PagesThatTheIndexNamesAreCopied) {
  File("base/5/100", 200, 200);
  File("base/5/101", 10, 10);
  for (const std::uint32_t block : {3, 4, 5, 70, 199}) {
    changed_.blocks[Rel(100)].Add(block);
  }
  EXPECT_EQ(PlanOf("base/5/100").copy, (Runs{{3, 6}, {70, 71}, {199, 200}}));
  EXPECT_NE(PlanOf("base/5/101").base, nullptr);
  EXPECT_TRUE(PlanOf("base/5/101").copy.empty());
}

TEST_F(IncrementPlanTest, EachFileIsAskedForByItsTablespaceDatabaseAndSegment) {
  File("base/5/100", 1024, 1024);
  File("base/5/100.1", 40, 40);
  File("base/6/100", 40, 40);
  File("global/100", 40, 40);
  File("pg_tblspc/900/PG_15_202209061/5/100", 40, 40);
  changed_.blocks[Rel(100)].Add(1);
  changed_.blocks[Rel(100)].Add(1024 + 2);
  changed_.blocks[Rel(100, 6)].Add(3);
  changed_.blocks[Rel(100, 0, 1664)].Add(4);
  changed_.blocks[Rel(100, 5, 900)].Add(5);
  EXPECT_EQ(PlanOf("base/5/100").copy, (Runs{{1, 2}}));
  EXPECT_EQ(PlanOf("base/5/100.1").copy, (Runs{{2, 3}}));
  EXPECT_EQ(PlanOf("base/6/100").copy, (Runs{{3, 4}}));
  EXPECT_EQ(PlanOf("global/100").copy, (Runs{{4, 5}}));
  EXPECT_EQ(PlanOf("pg_tblspc/900/PG_15_202209061/5/100").copy, (Runs{{5, 6}}));
}

TEST_F(IncrementPlanTest, WhatTheIndexCannotSpeakForIsCopiedWhole) {
  for (const char* path :
       {"base/5/100_fsm", "base/5/100_vm", "base/5/100_init", "base/5/100_vm.1"}) {
    File(path, 3, 3);
  }
  File("pg_xact/0000", 32, 32, FileKind::kPlain);
  File("base/5/pg_filenode.map", 1, 1, FileKind::kPlain);
  Now("base/5/300", 40);  // not in the base
  for (const ManifestFile& file : now_) {
    EXPECT_TRUE(IsWhole(file.path)) << file.path;
  }
}

TEST_F(IncrementPlanTest, WhatWasDroppedOrMadeSinceIsCopiedWhole) {
  File("base/5/100", 40, 40);
  File("base/5/101", 40, 40);
  File("base/7/100", 40, 40);
  File("pg_tblspc/900/PG_15_202209061/7/100", 40, 40);
  changed_.remade.insert(Rel(100));
  changed_.databases.emplace(1663, 7);
  EXPECT_TRUE(IsWhole("base/5/100"));
  EXPECT_FALSE(IsWhole("base/5/101"));
  EXPECT_TRUE(IsWhole("base/7/100"));
  EXPECT_FALSE(IsWhole("pg_tblspc/900/PG_15_202209061/7/100"));
}

// Pages of zeroes at the end are in no WAL.
TEST_F(IncrementPlanTest, WhatLiesBehindTheOldEndIsCopied) {
  File("base/5/100", 10, 50);
  EXPECT_EQ(PlanOf("base/5/100").copy, (Runs{{10, 50}}));
}

TEST_F(IncrementPlanTest, WhatLiesBehindTheNewEndIsLeft) {
  File("base/5/101", 50, 10);
  changed_.blocks[Rel(101)].Add(40);
  const FilePlan plan = PlanOf("base/5/101");
  EXPECT_TRUE(plan.copy.empty());
  const std::vector<Extent> kept = KeptExtents(plan, 10 * kPageSize);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].length, 10U * kPageSize);
}

TEST_F(IncrementPlanTest, WhatLiesBehindATruncationIsCopied) {
  File("base/5/100", 1024, 1024);
  File("base/5/100.1", 100, 100);
  File("base/5/101", 100, 100);
  File("base/5/101.1", 100, 100);
  changed_.truncated[Rel(100)] = 1024 + 60;
  changed_.truncated[Rel(101)] = 7;
  EXPECT_TRUE(PlanOf("base/5/100").copy.empty());
  EXPECT_EQ(PlanOf("base/5/100.1").copy, (Runs{{60, 100}}));
  EXPECT_EQ(PlanOf("base/5/101").copy, (Runs{{7, 100}}));
  EXPECT_EQ(PlanOf("base/5/101.1").copy, (Runs{{0, 100}}));
}

TEST_F(IncrementPlanTest, BadPagesOfTheBaseAreReadAgain) {
  File("base/5/100", 40, 40);
  base_.bad_pages = {{"base/5/100", 7}, {"base/5/100", 39}, {"base/5/gone", 1}};
  changed_.blocks[Rel(100)].Add(8);
  EXPECT_EQ(PlanOf("base/5/100").copy, (Runs{{7, 9}, {39, 40}}));
}

TEST_F(IncrementPlanTest, ExtentsAreCutAroundWhatIsCopied) {
  File("base/5/100", 64, 64);
  for (const std::uint32_t block : {0, 10, 31, 32}) {
    changed_.blocks[Rel(100)].Add(block);
  }
  const std::vector<Extent> kept = KeptExtents(PlanOf("base/5/100"), 64 * kPageSize);
  ASSERT_EQ(kept.size(), 3U);
  const auto expect = [&](std::size_t i, std::uint32_t page, std::uint32_t frame,
                          std::uint32_t from, std::uint32_t pages) {
    EXPECT_EQ(kept[i].file_offset, page * kPageSize) << i;
    EXPECT_EQ(kept[i].frame, frame) << i;
    EXPECT_EQ(kept[i].frame_offset, from * kPageSize) << i;
    EXPECT_EQ(kept[i].length, pages * kPageSize) << i;
  };
  expect(0, 1, 0, 1, 9);
  expect(1, 11, 0, 11, 20);
  expect(2, 33, 1, 1, 31);
}

TEST(AddRuns, JoinsWhatTouches) {
  Runs runs = {{5, 6}, {10, 20}};
  AddRuns({{6, 8}, {1, 2}, {15, 16}, {19, 25}}, &runs);
  EXPECT_EQ(runs, (Runs{{1, 2}, {5, 8}, {10, 25}}));
}

// ---- compaction ----

TEST_F(IncrementPlanTest, APackThatIsMostlyDeadIsEmptied) {
  File("base/5/100", 64, 64);
  least_compaction_ = 1 << 20;
  pack_sizes_ = {64 + 64 * kPageSize / 4};
  EXPECT_TRUE(PlanOf("base/5/100").copy.empty()) << "all of it is alive";
  pack_sizes_ = {64 + 3 * 64 * kPageSize / 4};
  const IncrementPlan plan = Plan();
  EXPECT_EQ(plan.files[0].copy, (Runs{{0, 64}}));
  EXPECT_EQ(plan.compacted_bytes, 64U * kPageSize);
  EXPECT_TRUE(plan.worn[0]);
}

TEST_F(IncrementPlanTest, CompactionTakesTheWorstFirstAndKeepsToItsShare) {
  File("base/5/100", 320, 320);
  File("base/5/101", 32, 32);
  base_.packs = {{"sn-1", 1}, {"sn-1", 2}};
  base_.frames.back().pack = 1;
  pack_sizes_ = {10 * 320 * kPageSize / 4, 100 * 32 * kPageSize / 4};
  least_compaction_ = 32 * kPageSize + 70 * kPageSize;
  const IncrementPlan plan = Plan();
  EXPECT_EQ(plan.files[1].copy, (Runs{{0, 32}})) << "the pack of which less is alive";
  EXPECT_EQ(plan.files[0].copy, (Runs{{0, 64}})) << "and what still fits";
}

TEST_F(IncrementPlanTest, WhatChangesMakesRoomForCompaction) {
  File("base/5/100", 128, 128);
  File("base/5/101", 32, 96);
  pack_sizes_ = {1000 * kPageSize};
  EXPECT_EQ(Plan().compacted_bytes, 64U * kPageSize);
}

TEST_F(IncrementPlanTest, ARunInManyPiecesIsStoredAnew) {
  File("base/5/100", 100, 100);
  least_compaction_ = 1 << 20;
  for (std::uint32_t block = 32; block < 64; block += 2) {
    changed_.blocks[Rel(100)].Add(block);
  }
  EXPECT_EQ(PlanOf("base/5/100").copy, (Runs{{32, 64}}));
  changed_.blocks.clear();
  for (std::uint32_t block = 32; block < 64; block += 4) {
    changed_.blocks[Rel(100)].Add(block);
  }
  EXPECT_EQ(PlanOf("base/5/100").copy.size(), 8U) << "eight pieces are not many";
}

// ---- items and frames that are known ----

TEST_F(IncrementPlanTest, RunsOf32BecomeFramesOfTheirOwn) {
  File("base/5/100", 200, 200);
  for (std::uint32_t block = 30; block < 100; block++) {
    changed_.blocks[Rel(100)].Add(block);
  }
  const IncrementPlan plan = Plan();
  const std::vector<CopyItem> items = PlanItems(now_, &plan);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_TRUE(items[0].big);
  EXPECT_EQ(items[0].pieces[0].offset, 32U * kPageSize);
  EXPECT_EQ(items[0].pieces[0].length, 64U * kPageSize);
  ASSERT_EQ(items[1].pieces.size(), 2U);
  EXPECT_EQ(items[1].pieces[0].offset, 30U * kPageSize);
  EXPECT_EQ(items[1].pieces[1].offset, 96U * kPageSize);
  EXPECT_EQ(items[1].pieces[1].length, 4U * kPageSize);
}

TEST_F(IncrementPlanTest, AFrameIsKnownByItsContentAndItsPlace) {
  File("pg_xact/0000", 32, 32, FileKind::kPlain);
  File("base/5/100", 32, 32);
  const IncrementPlan plan = Plan();
  const KnownFrames known(base_, plan, now_);
  EXPECT_EQ(known.Find(1, kFrameSize, 0, 0), std::optional<std::uint32_t>(0));
  EXPECT_EQ(known.Find(2, kFrameSize, 0, 0), std::nullopt) << "another content";
  EXPECT_EQ(known.Find(1, kPageSize, 0, 0), std::nullopt) << "another size";
  EXPECT_EQ(known.Find(1, kFrameSize, 1, 0), std::nullopt) << "another file";
  EXPECT_EQ(known.Find(1, kFrameSize, 0, kPageSize), std::nullopt) << "another place";
  EXPECT_EQ(known.Find(2, kFrameSize, 1, 0), std::nullopt) << "what goes page by page";
}

}  // namespace
}  // namespace pitr
