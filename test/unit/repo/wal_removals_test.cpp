#include "core/repo/wal_removals.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

constexpr const char* kMain = "br-quiet-river-0a1b2c3d";

TEST(WalRemovals, AreReadBackAndUnknownMembersStay) {
  const std::unique_ptr<Repository> repo = *Repository::Open(std::make_unique<MemoryStore>(), true);
  EXPECT_TRUE(ReadWalRemovals(repo.get())->empty());
  for (const std::uint64_t begin : {0x1000000ULL, 0x2000000ULL}) {
    ASSERT_TRUE(UpdateWalRemoval(repo.get(), kMain, [&](WalRemoval* removal) {
                  removal->segment_size = 1U << 20;
                  removal->marked_at = {5};
                  removal->removed = United(removal->removed, {{{begin}, {begin + 0x1000000}}});
                }).ok());
    ASSERT_TRUE(UpdateDocument(repo.get(), "wal_removals", [](Json* document) {
                  (*document)[kMain]["of_tomorrow"] = 5;
                  return Status::Ok();
                }).ok());
  }
  const Result<WalRemovals> read = ReadWalRemovals(repo.get());
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_TRUE(AreSame(read->at(kMain).removed, {{{0x1000000}, {0x3000000}}}));
  EXPECT_EQ(read->at(kMain).marked_at, Timestamp{5});
  EXPECT_EQ((*ReadDocument(repo.get(), "wal_removals"))[kMain]["of_tomorrow"], 5);
}

TEST(WalRemovals, SayOfAnObjectWhetherItWasRemoved) {
  const Result<std::string> text =
      ReadTextFile(std::string(PITR_TEST_DIR) + "/golden/retention/wal_removals.json", 1U << 20);
  ASSERT_TRUE(text.ok());
  const Result<WalRemovals> removals = DecodeWalRemovals(*ParseJson(*text, "golden file"));
  ASSERT_TRUE(removals.ok()) << removals.status().ToString();
  const std::string branch = std::string("branches/") + kMain;
  for (const char* removed :
       {"/wal/00000001/000000010000000000000000", "/wal/00000002/000000020000000000000003",
        "/wal/00000001/000000010000000000000003.partial",
        "/wal/00000001/000000010000000000000003.00000028.backup",
        "/tail/00000001/000000010000000000000003.00000000-00000100",
        "/wal/00000001/000000010000000100000000", "/wal/00000001/00000001000000FF00000000"}) {
    EXPECT_TRUE(IsRemovedWal(*removals, branch + removed)) << removed;
  }
  for (const char* other :
       {"/wal/00000001/000000010000000000000004", "/wal/history/00000002.history",
        "/tail/00000001/000000010000000000000004.00000000-00000100", "/wal/00000001/x",
        "/lease/00000000000000000001", ""}) {
    EXPECT_FALSE(IsRemovedWal(*removals, branch + other)) << other;
  }
  EXPECT_FALSE(IsRemovedWal(*removals, "branches/br-a-b-c/wal/00000001/000000010000000000000000"));
  EXPECT_FALSE(IsRemovedWal(*removals, "catalog/branches/00000000000000000001"));
}

TEST(WalRemovals, DamageIsAnError) {
  for (
      const char* text :
      {R"({"br-a-b-c": 1})",
       R"({"br-a-b-c": {"segment_size": 3, "going": [], "marked_at": 1, "removed": []}})",
       R"({"br-a-b-c": {"segment_size": 1048576, "going": [["x", "0/1"]], "marked_at": 1, "removed": []}})",
       R"({"br-a-b-c": {"segment_size": 1048576, "going": [], "marked_at": 1}})"}) {
    const Result<WalRemovals> removals = DecodeWalRemovals(*ParseJson(text, "test"));
    EXPECT_EQ(removals.status().code(), Code::kCorrupt) << text;
    EXPECT_NE(removals.status().message().find("br-a-b-c"), std::string::npos);
  }
}

}  // namespace
}  // namespace pitr
