// WAL that was let go: what the repository remembers, and the data directory until it does.
#include "core/repo/gaps.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/store/open_store.h"
#include "core/work/dropped_wal.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr std::uint64_t kSegment = 16U << 20;

Gap Segments(TimelineId timeline, std::uint64_t first, std::uint64_t last, std::int64_t since,
             const std::string& cause) {
  Gap gap;
  gap.timeline = timeline;
  gap.begin = {first * kSegment};
  gap.end = {(last + 1) * kSegment};
  gap.since = {since};
  gap.cause = cause;
  return gap;
}

std::string Text(const std::vector<Gap>& gaps) {
  std::string text;
  for (const Gap& gap : gaps) {
    text += std::to_string(gap.timeline) + ": " + gap.begin.ToString() + " - " +
            gap.end.ToString() + " " + std::to_string(gap.since.micros) + " " + gap.cause + "\n";
  }
  return text;
}

TEST(GapsTest, NeighboursBecomeOne) {
  std::vector<Gap> gaps;
  MergeGap(Segments(1, 5, 5, 50, "b"), &gaps);
  MergeGap(Segments(1, 3, 3, 30, "a"), &gaps);
  MergeGap(Segments(2, 4, 4, 10, "other timeline"), &gaps);
  EXPECT_EQ(Text(gaps),
            "1: 0/3000000 - 0/4000000 30 a\n1: 0/5000000 - 0/6000000 50 b\n"
            "2: 0/4000000 - 0/5000000 10 other timeline\n");
  MergeGap(Segments(1, 4, 4, 40, "c"), &gaps);
  EXPECT_EQ(Text(gaps),
            "1: 0/3000000 - 0/6000000 30 a\n2: 0/4000000 - 0/5000000 10 other timeline\n");
  MergeGap(Segments(1, 3, 4, 99, "again"), &gaps);
  EXPECT_EQ(Text(gaps),
            "1: 0/3000000 - 0/6000000 30 a\n2: 0/4000000 - 0/5000000 10 other timeline\n");
}

TEST(GapsTest, TheRepositoryRemembersThemByBranch) {
  TempDir dir;
  Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({dir.path()}, true);
  ASSERT_TRUE(repo.ok()) << repo.status().ToString();
  ASSERT_TRUE(ReadGaps(repo->get(), "br-a").ok());
  EXPECT_TRUE(ReadGaps(repo->get(), "br-a")->empty());
  ASSERT_TRUE(AddGaps(repo->get(), "br-a", {Segments(1, 3, 4, 30, "full")}).ok());
  ASSERT_TRUE(AddGaps(repo->get(), "br-b", {Segments(1, 7, 7, 70, "away")}).ok());
  ASSERT_TRUE(AddGaps(repo->get(), "br-a", {Segments(1, 5, 5, 50, "full")}).ok());
  ASSERT_TRUE(AddGaps(repo->get(), "br-a", {Segments(1, 3, 4, 30, "full")}).ok());
  EXPECT_EQ(Text(*ReadGaps(repo->get(), "br-a")), "1: 0/3000000 - 0/6000000 30 full\n");
  EXPECT_EQ(Text(*ReadGaps(repo->get(), "br-b")), "1: 0/7000000 - 0/8000000 70 away\n");
}

TEST(GapsTest, DamageIsAnError) {
  const Json good = GapJson(Segments(1, 3, 3, 30, "x"));
  EXPECT_TRUE(GapFromJson(good).ok());
  for (const char* member : {"timeline", "begin", "end", "since", "cause"}) {
    Json json = good;
    json.erase(member);
    EXPECT_FALSE(GapFromJson(json).ok()) << member;
  }
  Json json = good;
  json["end"] = "0/1";
  EXPECT_EQ(GapFromJson(json).status().code(), Code::kCorrupt);
  json["end"] = "nowhere";
  EXPECT_FALSE(GapFromJson(json).ok());
}

TEST(DroppedWalTest, WhatIsAddedMeanwhileIsNotForgotten) {
  TempDir dir;
  EXPECT_TRUE(ReadDropped(dir.path())->empty());
  EXPECT_TRUE(SetDroppedAside(dir.path())->empty());
  ASSERT_TRUE(NoteDropped(dir.path(), Segments(1, 3, 3, 30, "x")).ok());
  ASSERT_TRUE(NoteDropped(dir.path(), Segments(1, 4, 4, 40, "y")).ok());
  EXPECT_EQ(Text(*ReadDropped(dir.path())), "1: 0/3000000 - 0/5000000 30 x\n");
  EXPECT_EQ(Text(*SetDroppedAside(dir.path())), "1: 0/3000000 - 0/5000000 30 x\n");
  // The repository is told now, or was and somebody died.
  ASSERT_TRUE(NoteDropped(dir.path(), Segments(1, 5, 5, 50, "z")).ok());
  EXPECT_EQ(Text(*SetDroppedAside(dir.path())), "1: 0/3000000 - 0/5000000 30 x\n");
  EXPECT_EQ(Text(*ReadDropped(dir.path())), "1: 0/3000000 - 0/6000000 30 x\n");
  ASSERT_TRUE(ForgetDroppedAside(dir.path()).ok());
  EXPECT_EQ(Text(*SetDroppedAside(dir.path())), "1: 0/5000000 - 0/6000000 50 z\n");
  ASSERT_TRUE(ForgetDroppedAside(dir.path()).ok());
  EXPECT_TRUE(ReadDropped(dir.path())->empty());
}

TEST(DroppedWalTest, ADamagedNoteIsAnError) {
  TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir.path() + "/dropped_wal.json", AsBytes("{\"gaps\": [")).ok());
  EXPECT_FALSE(ReadDropped(dir.path()).ok());
  EXPECT_FALSE(NoteDropped(dir.path(), Segments(1, 3, 3, 30, "x")).ok());
}

}  // namespace
}  // namespace pitr
