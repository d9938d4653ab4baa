#include "core/repo/layout.h"

#include <gtest/gtest.h>

namespace pitr {

namespace {

constexpr std::uint64_t kSize = 16U << 20;
const BranchId kBranch = "br-quiet-river-0a1b2c3d";

std::string WalObjectOf(std::string_view name) {
  const std::optional<WalFileName> parsed = ParseWalFileName(name, kSize);
  EXPECT_TRUE(parsed.has_value()) << name;
  return layout::WalObject(kBranch, *parsed, name);
}

TEST(Layout, NamesAreThoseOfTheFormatPage) {
  EXPECT_EQ(layout::kRepositoryObject, "repository.json");
  EXPECT_EQ(layout::KeysPrefix(), "keys/");
  EXPECT_EQ(layout::KeyObject(7), "keys/00000000000000000007");
  EXPECT_EQ(layout::ParseKeyObject("keys/00000000000000000007"), 7U);
  for (const char* other : {"keys/7", "keys/00000000000000000000", "keys/", "00000000000000000007",
                            "keys/00000000000000000007/", "keys/-0000000000000000007"}) {
    EXPECT_FALSE(layout::ParseKeyObject(other).has_value()) << other;
  }
  EXPECT_EQ(layout::CatalogPrefix("branches"), "catalog/branches/");
  EXPECT_EQ(layout::CatalogName("audit", 42), "catalog/audit/00000000000000000042");
  EXPECT_EQ(layout::CatalogName("audit", UINT64_MAX), "catalog/audit/18446744073709551615");
  EXPECT_EQ(layout::BranchPrefix(kBranch), "branches/br-quiet-river-0a1b2c3d/");
  const std::string wal = "branches/br-quiet-river-0a1b2c3d/wal/";
  EXPECT_EQ(layout::WalRootPrefix(kBranch), wal);
  EXPECT_EQ(layout::WalPrefix(kBranch, 26), wal + "0000001A/");
  EXPECT_EQ(layout::HistoryPrefix(kBranch), wal + "history/");
  EXPECT_EQ(WalObjectOf("0000001A0000000100000002"), wal + "0000001A/0000001A0000000100000002");
  EXPECT_EQ(WalObjectOf("0000001A0000000100000002.partial"),
            wal + "0000001A/0000001A0000000100000002.partial");
  EXPECT_EQ(WalObjectOf("0000001A0000000100000002.00000028.backup"),
            wal + "0000001A/0000001A0000000100000002.00000028.backup");
  EXPECT_EQ(WalObjectOf("0000001A.history"), wal + "history/0000001A.history");
  EXPECT_EQ(layout::LeasePrefix(kBranch), "branches/br-quiet-river-0a1b2c3d/lease/");
  EXPECT_EQ(layout::LeaseObject(kBranch, 12),
            "branches/br-quiet-river-0a1b2c3d/lease/00000000000000000012");
  EXPECT_EQ(layout::ParseLeaseObject(kBranch, layout::LeaseObject(kBranch, 12)), 12U);
  for (const char* other : {"branches/br-quiet-river-0a1b2c3d/lease/12",
                            "branches/br-quiet-river-0a1b2c3d/lease/00000000000000000000",
                            "branches/br-other-river-0a1b2c3d/lease/00000000000000000012",
                            "branches/br-quiet-river-0a1b2c3d/wal/00000000000000000012"}) {
    EXPECT_FALSE(layout::ParseLeaseObject(kBranch, other).has_value()) << other;
  }
  EXPECT_EQ(layout::TailRootPrefix(kBranch), "branches/br-quiet-river-0a1b2c3d/tail/");
  EXPECT_EQ(layout::TailPrefix(kBranch, 1), "branches/br-quiet-river-0a1b2c3d/tail/00000001/");
  EXPECT_EQ(layout::TailObject(kBranch, {{1, 5}, 0, 0x4000}, kSize),
            "branches/br-quiet-river-0a1b2c3d/tail/00000001/"
            "000000010000000000000005.00000000-00004000");
  EXPECT_EQ(layout::SnapshotsPrefix(), "snapshots/");
  EXPECT_EQ(layout::ManifestObject("sn-x"), "snapshots/sn-x/manifest");
  EXPECT_EQ(layout::AllPacksPrefix(), "packs/");
  EXPECT_EQ(layout::PacksPrefix("sn-x"), "packs/sn-x/");
  EXPECT_EQ(layout::PackObject("sn-x", 7), "packs/sn-x/000007");
  EXPECT_EQ(layout::DumpsPrefix(), "dumps/");
  EXPECT_EQ(layout::DumpPrefix("dp-x"), "dumps/dp-x/");
  EXPECT_EQ(layout::DumpManifestObject("dp-x"), "dumps/dp-x/manifest");
  EXPECT_EQ(layout::DumpObject("dp-x", 7), "dumps/dp-x/000007");
  EXPECT_EQ(layout::PackObject("sn-x", UINT32_MAX), "packs/sn-x/4294967295");
}

TEST(Layout, CatalogNumbersSortAsTheyCount) {
  EXPECT_LT(layout::CatalogName("x", 9), layout::CatalogName("x", 10));
  EXPECT_LT(layout::CatalogName("x", 999999), layout::CatalogName("x", UINT64_MAX));
}

TEST(Layout, CatalogNamesAreParsed) {
  for (const std::uint64_t number : {std::uint64_t{1}, std::uint64_t{12345}, UINT64_MAX}) {
    EXPECT_EQ(layout::ParseCatalogName(layout::CatalogName("audit", number)), number);
  }
  for (const std::string name :
       {"", "catalog/", "catalog/audit/", "catalog/audit/1", "catalog//00000000000000000001",
        "catalog/audit/00000000000000000000", "catalog/audit/18446744073709551616",
        "catalog/audit/0000000000000000001x", "catalog/audit/+0000000000000000001",
        "catalog/audit/000000000000000000001", "catalogue/audit/00000000000000000001",
        "catalog/a/b/00000000000000000001", "00000000000000000001"}) {
    EXPECT_FALSE(layout::ParseCatalogName(name).has_value()) << name;
  }
}

TEST(Layout, TailNamesAreParsed) {
  const layout::TailPiece piece = {{0x1A, 0x102}, 0x1000, 0x2000};
  const std::string name = layout::TailObject(kBranch, piece, kSize);
  const auto parsed = layout::ParseTailName(layout::LastPart(name), kSize);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->segment, piece.segment);
  EXPECT_EQ(parsed->begin, piece.begin);
  EXPECT_EQ(parsed->end, piece.end);
  EXPECT_TRUE(
      layout::ParseTailName("000000010000000000000005.00000000-01000000", kSize).has_value());
  for (const std::string bad :
       {"", "000000010000000000000005", "000000010000000000000005.00000000-00000000",
        "000000010000000000000005.00000002-00000001", "000000010000000000000005.00000000-01000001",
        "000000010000000000000005.0000000a-00001000", "00000001000000000000000a.00000000-00001000",
        "000000000000000000000005.00000000-00001000", "000000010000000000000100.00000000-00001000",
        "000000010000000000000005-00000000-00001000", "000000010000000000000005.00000000.00001000",
        "000000010000000000000005.00000000-000010000"}) {
    EXPECT_FALSE(layout::ParseTailName(bad, kSize).has_value()) << bad;
  }
}

TEST(Layout, TimelineFoldersAreParsed) {
  EXPECT_EQ(layout::ParseTimelineFolder("0000001A/"), 26U);
  for (const std::string bad :
       {"", "/", "0000001A", "0000001a/", "00000000/", "history/", "000000001/", "+000001A/"}) {
    EXPECT_FALSE(layout::ParseTimelineFolder(bad).has_value()) << bad;
  }
}

TEST(Layout, TheLastPartIsWhatFollowsTheLastSlash) {
  EXPECT_EQ(layout::LastPart("a/b/c"), "c");
  EXPECT_EQ(layout::LastPart("a/"), "");
  EXPECT_EQ(layout::LastPart("a"), "a");
}

}  // namespace

}  // namespace pitr
