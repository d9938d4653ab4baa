#include "core/repo/drills.h"

#include <gtest/gtest.h>

#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "core/store/open_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

TEST(DrillsTest, AreKeptAsTheyWere) {
  TempDir dir;
  Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({dir.path()}, true);
  ASSERT_TRUE(repo.ok()) << repo.status().ToString();
  EXPECT_TRUE(ReadDrills(repo->get(), 10)->empty());
  DrillRecord good;
  good.id = "op-1";
  good.branch_id = "br-a";
  good.started_at = {1700000000000000};
  good.passed = true;
  good.point_lsn = {0x3000148};
  good.point_time = Timestamp{1699999999000000};
  good.restore_micros = 2500000;
  good.first_query_micros = 2600000;
  good.data_loss_micros = 0;
  good.amcheck_ok = good.checksums_ok = good.queries_ok = true;
  good.relations = 12;
  good.row_count = good.row_count_expected = 4000;
  DrillRecord bad;
  bad.id = "op-2";
  bad.branch_id = "br-a";
  bad.started_at = {1700000001000000};
  bad.point_lsn = {0x4000000};
  bad.amcheck_ok = false;
  bad.detail = "index \"i\" lacks a metapage";
  ASSERT_TRUE(AppendDrill(repo->get(), good).ok());
  ASSERT_TRUE(AppendDrill(repo->get(), bad).ok());
  const Result<std::vector<DrillRecord>> all = ReadDrills(repo->get(), 10);
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[0].id, "op-1");
  EXPECT_TRUE((*all)[0].passed);
  EXPECT_EQ((*all)[0].point_lsn, good.point_lsn);
  EXPECT_EQ((*all)[0].point_time, good.point_time);
  EXPECT_EQ((*all)[0].restore_micros, 2500000);
  EXPECT_EQ((*all)[0].row_count_expected, 4000);
  EXPECT_EQ((*all)[1].amcheck_ok, false);
  EXPECT_EQ((*all)[1].checksums_ok, std::nullopt);
  EXPECT_EQ((*all)[1].restore_micros, std::nullopt);
  EXPECT_EQ((*all)[1].detail, bad.detail);
  EXPECT_EQ(ReadDrills(repo->get(), 1)->at(0).id, "op-2");
}

TEST(DrillsTest, ADamagedEntryIsAnError) {
  TempDir dir;
  Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({dir.path()}, true);
  ASSERT_TRUE(repo.ok());
  Json json;
  json["id"] = "op-1";
  ASSERT_TRUE(AppendLog(repo->get(), "drills", json).ok());
  EXPECT_EQ(ReadDrills(repo->get(), 10).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace pitr
