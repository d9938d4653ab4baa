#include "core/work/tablespaces.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/file.h"
#include "unit/support/fake_cluster.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr char kBranch[] = "br-old-house-12345678", kOther[] = "br-new-house-87654321";

TEST(TablespaceTargetTest, TheNextGenerationStandsBesideTheLast) {
  const std::string first = TablespaceTarget("/srv/fast", kBranch, "16400");
  EXPECT_EQ(first, "/srv/fast/br-old-house-12345678/16400");
  EXPECT_EQ(TablespaceTarget(first, kOther, "16400"), "/srv/fast/br-new-house-87654321/16400");
  EXPECT_EQ(TablespaceTarget("/srv/fast//", kBranch, "1"), "/srv/fast/br-old-house-12345678/1");
  EXPECT_EQ(TablespaceTarget("/", kBranch, "1"), "/br-old-house-12345678/1");
  EXPECT_EQ(TablespaceTarget("/srv/br-old-house-12345678/data", kOther, "1"),
            "/srv/br-old-house-12345678/data/br-new-house-87654321/1")
      << "an administrator's name that only looks like ours";
}

class Tablespaces : public ::testing::Test {
 protected:
  std::string Make(const std::string& name) {
    const std::string directory = dir_ / name;
    EXPECT_TRUE(MakeDirectories(directory + "/pg_tblspc").ok());
    return directory;
  }
  void Write(const std::string& path) {
    EXPECT_TRUE(MakeDirectories(DirectoryName(path)).ok());
    EXPECT_TRUE(WriteFileLoosely(path, AsBytes("x")).ok());
  }
  std::string Target(const std::string& directory, const std::string& oid) {
    const auto links = TablespaceLinks(directory);
    EXPECT_TRUE(links.ok());
    for (const TablespaceLink& link : *links) {
      if (link.oid == oid) return link.target;
    }
    return {};
  }
  TempDir dir_;
};

TEST_F(Tablespaces, ReplayNeverTouchesTheLocation) {
  const std::string live = Make("live"), built = Make("branches/" + std::string(kOther));
  const std::string location = dir_ / "space";
  Write(location + "/PG_15_1/5/16385");
  ASSERT_EQ(::symlink(location.c_str(), (live + "/pg_tblspc/16400").c_str()), 0);
  ASSERT_TRUE(ReplayCreateTablespace(built, location, kOther, "16400", "PG_15_1").ok());
  EXPECT_EQ(Target(built, "16400"), location + "/" + kOther + "/16400");
  EXPECT_TRUE(PathExists(location + "/" + kOther + "/16400/PG_15_1"));
  // Once more, and one that the snapshot had: the link stays.
  ASSERT_TRUE(ReplayCreateTablespace(built, "/elsewhere", kOther, "16400", "PG_15_1").ok());
  EXPECT_EQ(Target(built, "16400"), location + "/" + kOther + "/16400");
  EXPECT_FALSE(PathExists("/elsewhere"));

  ASSERT_TRUE(RemoveDataDirectory(built, live).ok());
  EXPECT_FALSE(PathExists(built));
  EXPECT_FALSE(PathExists(location + "/" + kOther));
  EXPECT_TRUE(PathExists(location + "/PG_15_1/5/16385"));
}

TEST_F(Tablespaces, WhatAnotherDirectoryUsesStays) {
  const std::string live = Make("live"), one = Make("branches/" + std::string(kBranch)),
                    two = Make("branches/" + std::string(kOther));
  const std::string shared = dir_ / ("space/" + std::string(kBranch) + "/16400"),
                    of_live = dir_ / ("space/" + std::string(kBranch) + "/16500");
  Write(shared + "/PG_15_1/5/16385");
  Write(of_live + "/PG_15_1/5/16385");
  for (const std::string& directory : {one, two}) {
    ASSERT_EQ(::symlink(shared.c_str(), (directory + "/pg_tblspc/16400").c_str()), 0);
  }
  for (const std::string& directory : {one, live}) {
    ASSERT_EQ(::symlink(of_live.c_str(), (directory + "/pg_tblspc/16500").c_str()), 0);
  }
  ASSERT_TRUE(RemoveDataDirectory(one, live).ok());
  EXPECT_FALSE(PathExists(one));
  EXPECT_TRUE(PathExists(shared + "/PG_15_1/5/16385"));
  EXPECT_TRUE(PathExists(of_live + "/PG_15_1/5/16385"));
  ASSERT_TRUE(RemoveDataDirectory(two, live).ok());
  EXPECT_FALSE(PathExists(shared));
  EXPECT_TRUE(PathExists(of_live + "/PG_15_1/5/16385"));
}

TEST_F(Tablespaces, OfTheAdministratorsDirectoryOnlyTheClustersFolderGoes) {
  const FakeCluster cluster(dir_ / "branches/br-old-house-12345678");
  cluster.Tablespace("16400", dir_ / "space");
  Write(dir_ / "space/notes");
  ASSERT_TRUE(RemoveDataDirectory(cluster.path(), dir_ / "live").ok());
  const auto left = ListDirectory(dir_ / "space");
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(left->size(), 2U) << "the other cluster's folder and a file";
  EXPECT_TRUE(PathExists(dir_ / "space/notes"));
}

TEST_F(Tablespaces, ADirectoryOfAnotherNameIsNotRenamed) {
  const std::string built = Make("restored");
  Write(dir_ / "restored.gone/mine");
  ASSERT_TRUE(RemoveDataDirectory(built, "").ok());
  EXPECT_FALSE(PathExists(built));
  EXPECT_TRUE(PathExists(dir_ / "restored.gone/mine"));
}

TEST_F(Tablespaces, RemovalGoesOnWhereItWasInterrupted) {
  const std::string built = Make("branches/" + std::string(kOther));
  Write(built + "/PG_VERSION");
  ASSERT_EQ(::rename(built.c_str(), (built + ".gone").c_str()), 0);
  ASSERT_TRUE(RemoveDataDirectory(built + ".gone", "").ok());
  EXPECT_FALSE(PathExists(built + ".gone"));
  EXPECT_TRUE(RemoveDataDirectory(built, "").ok()) << "there is nothing any more";
}

}  // namespace
}  // namespace pitr
