// The program is no library, so its test compiles the source into itself.
#include "tool/wal_source.cpp"

#include <gtest/gtest.h>

#include "unit/support/temp_dir.h"

namespace pitr::tool {
namespace {

constexpr char kThird[] = "000000010000000000000003", kFourth[] = "000000010000000000000004",
               kNextTimeline[] = "000000020000000000000001";

WalSource Source() {
  WalSource source;
  source.repository = {"/r", {}};
  Branch child, root;
  child.id = "br-new-one-2";
  child.name = "new";
  child.root = {7710194079563606157U, 15, 16U << 20};
  child.ancestor = "br-old-one-1";
  child.fork_lsn = {0x50000A0};
  child.fork_timeline = 2;
  root = child;
  root.id = "br-old-one-1";
  root.ancestor.reset();
  source.line = {child, root};
  source.family = {"br-new-one-2", "br-old-one-1"};
  source.used_timelines = {1, 2, 5};
  source.target_timeline = 2;
  source.spool = "/d/pitr/spool";
  source.durable = false;
  return source;
}

TEST(WalSourceTest, ComesBackFromItsText) {
  const Result<WalSource> read = ParseWalSource(WalSourceText(Source()));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read->line.size(), 2U);
  EXPECT_EQ(read->line[0].id, "br-new-one-2");
  EXPECT_EQ(read->line[0].root, Source().line[0].root);
  EXPECT_EQ(read->line[0].ancestor, "br-old-one-1");
  EXPECT_EQ(read->line[0].fork_lsn.ToString(), "0/50000A0");
  EXPECT_EQ(read->line[0].fork_timeline, 2U);
  EXPECT_FALSE(read->line[1].ancestor.has_value());
  EXPECT_EQ(read->family, Source().family);
  EXPECT_EQ(read->used_timelines, Source().used_timelines);
  EXPECT_EQ(read->target_timeline, 2U);
  EXPECT_EQ(read->spool, "/d/pitr/spool");
  EXPECT_FALSE(read->durable);
  EXPECT_EQ(read->repository, Source().repository);
}

TEST(WalSourceTest, CarriesWhereTheKeyIs) {
  WalSource source = Source();
  source.repository.keys.file = "/keys/file";
  EXPECT_EQ(ParseWalSource(WalSourceText(source))->repository, source.repository);
  source.repository.keys = {"", "fetch 'the key'"};
  EXPECT_EQ(ParseWalSource(WalSourceText(source))->repository, source.repository);
}

TEST(WalSourceTest, RefusesWhatIsIncomplete) {
  const Json whole = *ParseJson(WalSourceText(Source()), "test");
  for (const auto& [member, value] : whole.items()) {
    Json less = whole;
    less.erase(member);
    EXPECT_EQ(ParseWalSource(DumpJson(less)).status().code(), Code::kCorrupt) << member;
  }
  Json odd = whole;
  odd["line"][0]["segment_size"] = 12345;
  EXPECT_FALSE(ParseWalSource(DumpJson(odd)).ok());
  odd = whole;
  odd["used_timelines"][0] = "one";
  EXPECT_FALSE(ParseWalSource(DumpJson(odd)).ok());
  odd = whole;
  odd["line"] = Json::array();
  EXPECT_FALSE(ParseWalSource(DumpJson(odd)).ok());
}

TEST(WalSourceTest, PublishesWholeFilesOnly) {
  const TempDir dir;
  for (const bool durable : {true, false}) {
    EXPECT_TRUE(PublishFile(dir / "file", AsBytes("content"), durable).ok());
    EXPECT_EQ(*ReadTextFile(dir / "file", 100), "content");
    EXPECT_FALSE(PublishFile(dir / "absent/file", AsBytes("content"), durable).ok());
  }
  EXPECT_EQ(ListDirectory(dir.path())->size(), 1U);
}

TEST(WalSourceTest, TheSpoolForgetsWhatLiesBehind) {
  const TempDir spool;
  EXPECT_EQ(ReadSpoolPosition(spool.path()), "");
  for (const char* name : {kThird, kFourth, kNextTimeline}) {
    ASSERT_TRUE(PublishFile(SpoolFile(spool.path(), name), AsBytes("x"), false).ok());
  }
  ASSERT_TRUE(PublishFile(SpoolPartFile(spool.path(), kThird), AsBytes("x"), false).ok());
  ASSERT_TRUE(MoveSpoolPosition(spool.path(), kFourth).ok());
  EXPECT_EQ(ReadSpoolPosition(spool.path()), kFourth);
  EXPECT_FALSE(PathExists(SpoolFile(spool.path(), kThird)));
  EXPECT_FALSE(PathExists(SpoolFile(spool.path(), kFourth)));
  EXPECT_TRUE(PathExists(SpoolFile(spool.path(), kNextTimeline)));
  // A part belongs to the thread that makes it.
  EXPECT_TRUE(PathExists(SpoolPartFile(spool.path(), kThird)));
}

}  // namespace
}  // namespace pitr::tool
