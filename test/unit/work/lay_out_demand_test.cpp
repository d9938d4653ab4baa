#include "core/work/lay_out_demand.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/demand/directory.h"
#include "core/demand/folder.h"
#include "core/work/lay_out.h"
#include "core/work/snapshot_copy.h"
#include "unit/support/fake_cluster.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class LayOutDemandTest : public ::testing::Test {
 protected:
  LayOutDemandTest() : cluster_(dir_ / "data") {
    EXPECT_TRUE(MakeDirectories(dir_ / "repository").ok());
    auto repo = Repository::OpenAddress({dir_ / "repository"}, true);
    EXPECT_TRUE(repo.ok()) << repo.status().ToString();
    repo_ = std::move(*repo);
    options_.directory = dir_ / "out";
    options_.demand_places = {dir_ / "repository"};
  }
  void CopyAndLayOut() {
    SnapshotCopyOptions options;
    options.data_directory = cluster_.path();
    options.snapshot = "sn-20261120T100000-abcd";
    options.pack_target = 200000;
    Status status = CopySnapshot(repo_.get(), options, &manifest_, nullptr, nullptr);
    ASSERT_TRUE(status.ok()) << status.ToString();
    manifest_.backup_label = "START WAL LOCATION: 0/2000028\n";
    status = LayOutDirectory(repo_.get(), manifest_, options_, nullptr, nullptr);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  FakeCluster Out() const { return FakeCluster::At(options_.directory); }

  TempDir dir_;
  FakeCluster cluster_;
  std::unique_ptr<Repository> repo_;
  Manifest manifest_;
  LayOutOptions options_;
};

TEST_F(LayOutDemandTest, LargeTablesAreHolesUntilTheyAreLoaded) {
  cluster_.Relation("base/5/16384", 100, 75);
  cluster_.Relation("base/5/16385", 300, kLeastDemandPages);
  cluster_.Relation("base/5/16384_fsm", 400, 40);
  cluster_.Relation("global/1260", 500, 40);
  CopyAndLayOut();
  struct stat info {};
  ASSERT_EQ(::stat((options_.directory + "/base/5/16384").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 75 * 8192);
  EXPECT_EQ(info.st_blocks, 0);
  EXPECT_EQ(Out().Read("backup_label").substr(0, 10), "INCOMPLETE");
  EXPECT_EQ(Out().Read(demand::kLabelFile), manifest_.backup_label);
  demand::LocalPacks packs;
  auto directory = demand::Directory::Open(options_.directory, &packs);
  ASSERT_TRUE(directory.ok()) << directory.status().ToString();
  EXPECT_EQ((*directory)->index().files().size(), 1U)
      << "small ones, maps and shared catalogs are there";
  EXPECT_EQ((*directory)->AbsentBytes(), 75U * 8192);
  EXPECT_EQ((*directory)->LoadAll(0), 0);
  for (const ManifestFile& file : manifest_.files) {
    if (file.kind == FileKind::kRelation || file.kind == FileKind::kPlain) {
      EXPECT_TRUE(Out().Read(file.path) == cluster_.Read(file.path)) << file.path;
    }
  }
}

TEST_F(LayOutDemandTest, WithoutLargeTablesItIsAPlainDirectory) {
  cluster_.Relation("base/5/16385", 300, kLeastDemandPages);
  CopyAndLayOut();
  EXPECT_FALSE(PathExists(options_.directory + "/pgsql_tmp_pitr"));
  EXPECT_EQ(Out().Read("backup_label"), manifest_.backup_label);
}

}  // namespace
}  // namespace pitr
