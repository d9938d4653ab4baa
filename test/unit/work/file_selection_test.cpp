#include "core/work/file_selection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <map>

#include "unit/support/fake_cluster.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

std::map<std::string, ManifestFile> Select(const FakeCluster& cluster,
                                           std::vector<std::string> excluded = {},
                                           FileSelection* whole = nullptr) {
  Result<FileSelection> selection =
      SelectFiles({cluster.path(), kFakeCatalog, std::move(excluded)});
  EXPECT_TRUE(selection.ok()) << selection.status().ToString();
  std::map<std::string, ManifestFile> files;
  for (const ManifestFile& file : selection->files) {
    EXPECT_TRUE(files.emplace(file.path, file).second) << file.path << " twice";
  }
  if (whole != nullptr) {
    *whole = *selection;
  }
  return files;
}

TEST(FileSelectionTest, WhatTheServersOwnBackupLeavesOutIsLeftOut) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  const auto before = Select(cluster, {"log"});
  cluster.PutExcluded();
  auto after = Select(cluster, {"log"});
  // Of all that was added, the init fork of the unlogged relation alone belongs into a snapshot.
  ASSERT_EQ(after.count("base/1/16400_init"), 1U);
  after.erase("base/1/16400_init");
  for (const auto& [path, file] : after) {
    EXPECT_EQ(before.count(path), 1U) << path;
  }
  EXPECT_EQ(after.size(), before.size());
}

TEST(FileSelectionTest, FoldersOfLeftOutFilesAreKept) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  cluster.PutExcluded();
  const auto files = Select(cluster, {"log"});
  for (const char* folder : {"pg_wal", "pg_wal/archive_status", "pg_replslot", "pg_subtrans",
                             "pg_stat_tmp", "pg_notify", "pg_tblspc", "pitr", "log"}) {
    ASSERT_EQ(files.count(folder), 1U) << folder;
    EXPECT_EQ(files.at(folder).kind, FileKind::kDirectory);
    EXPECT_EQ(files.at(folder).mode, 0700U);
  }
  EXPECT_EQ(files.count("pg_wal/summaries"), 0U);
  cluster.Folder("pg_wal/summaries");  // 17 and later
  EXPECT_EQ(Select(cluster).count("pg_wal/summaries"), 1U);
}

TEST(FileSelectionTest, KindsAndSizes) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  FileSelection whole;
  const auto files = Select(cluster, {}, &whole);
  for (const char* relation :
       {"global/1262", "base/1/1259", "base/1/1259_fsm", "base/1/1259_vm", "base/1/2619"}) {
    EXPECT_EQ(files.at(relation).kind, FileKind::kRelation) << relation;
  }
  for (const char* plain :
       {"PG_VERSION", "global/pg_control", "base/1/PG_VERSION", "base/1/pg_filenode.map",
        "pg_xact/0000", "pg_multixact/members/0000"}) {
    EXPECT_EQ(files.at(plain).kind, FileKind::kPlain) << plain;
  }
  EXPECT_EQ(files.at("base/1/1259").size, 3U * kPageSize);
  EXPECT_EQ(files.at("PG_VERSION").size, 3U);
  std::uint64_t bytes = 0;
  for (const auto& [path, file] : files) {
    bytes += file.size;
  }
  EXPECT_EQ(whole.bytes, bytes);
}

TEST(FileSelectionTest, ParentsComeBeforeTheirChildren) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  cluster.Tablespace("16400", dir / "space");
  FileSelection whole;
  Select(cluster, {}, &whole);
  Manifest manifest;
  manifest.id = "sn-1";
  manifest.files = whole.files;
  const Status status = CheckManifest(manifest);
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(FileSelectionTest, APageThatIsBeingAddedDoesNotCount) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  cluster.Put("base/1/16500", std::string(kPageSize + 100, 'x'));
  EXPECT_EQ(Select(cluster).at("base/1/16500").size, kPageSize);
}

TEST(FileSelectionTest, OnlyThisClustersFolderOfATablespace) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  cluster.Tablespace("16400", dir / "space");
  cluster.Relation("pg_tblspc/16400/PG_15_202209061/5/16402_init", 1, 1);
  cluster.Relation("pg_tblspc/16400/PG_15_202209061/5/16402", 1, 1);
  cluster.Relation("pg_tblspc/16400/PG_15_202209061/5/t1_16403", 1, 1);
  const auto files = Select(cluster);
  ASSERT_EQ(files.count("pg_tblspc/16400"), 1U);
  EXPECT_EQ(files.at("pg_tblspc/16400").kind, FileKind::kSymlink);
  EXPECT_EQ(files.at("pg_tblspc/16400").link_target, dir / "space");
  EXPECT_EQ(files.at("pg_tblspc/16400/PG_15_202209061").kind, FileKind::kDirectory);
  EXPECT_EQ(files.at("pg_tblspc/16400/PG_15_202209061/5/16401").kind, FileKind::kRelation);
  EXPECT_EQ(files.count("pg_tblspc/16400/PG_15_202209061/5/16402_init"), 1U);
  EXPECT_EQ(files.count("pg_tblspc/16400/PG_15_202209061/5/16402"), 0U) << "unlogged";
  EXPECT_EQ(files.count("pg_tblspc/16400/PG_15_202209061/5/t1_16403"), 0U) << "temporary";
  EXPECT_EQ(files.count("pg_tblspc/16400/PG_14_202107181"), 0U) << "another cluster's";
}

TEST(FileSelectionTest, ATablespaceInsideTheDataDirectoryIsTakenOnce) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  cluster.Tablespace("16400", cluster.path() + "/spaces/one");
  const auto files = Select(cluster);
  EXPECT_EQ(files.count("pg_tblspc/16400/PG_15_202209061/5/16401"), 1U);
  EXPECT_EQ(files.count("spaces/one"), 1U);
  EXPECT_EQ(files.count("spaces/one/PG_15_202209061"), 0U);
}

TEST(FileSelectionTest, AnInPlaceTablespaceIsAFolder) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  cluster.Folder("pg_tblspc/16400/PG_15_202209061/5");
  cluster.Relation("pg_tblspc/16400/PG_15_202209061/5/16401", 1, 1);
  const auto files = Select(cluster);
  EXPECT_EQ(files.at("pg_tblspc/16400").kind, FileKind::kDirectory);
  EXPECT_EQ(files.at("pg_tblspc/16400/PG_15_202209061/5/16401").kind, FileKind::kRelation);
}

TEST(FileSelectionTest, LinkedFoldersWithoutContentBecomeFolders) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  ASSERT_TRUE(RemoveTree(cluster.path() + "/pg_wal").ok());
  ASSERT_TRUE(MakeDirectories(dir / "wal").ok());
  ASSERT_EQ(::symlink((dir / "wal").c_str(), (cluster.path() + "/pg_wal").c_str()), 0);
  const auto files = Select(cluster);
  EXPECT_EQ(files.at("pg_wal").kind, FileKind::kDirectory);
  EXPECT_EQ(files.at("pg_wal").mode, 0700U);
  EXPECT_EQ(files.at("pg_wal/archive_status").kind, FileKind::kDirectory);
}

TEST(FileSelectionTest, OtherLinksAndSocketsAreSkippedAndNamed) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  ASSERT_EQ(::symlink("/etc/hostname", (cluster.path() + "/link").c_str()), 0);
  ASSERT_EQ(::mkfifo((cluster.path() + "/pipe").c_str(), 0600), 0);
  FileSelection whole;
  const auto files = Select(cluster, {}, &whole);
  EXPECT_EQ(files.count("link") + files.count("pipe"), 0U);
  EXPECT_EQ(whole.skipped, (std::vector<std::string>{"link", "pipe"}));
}

TEST(FileSelectionTest, AMissingDataDirectoryIsAnError) {
  const TempDir dir;
  EXPECT_EQ(SelectFiles({dir / "nothing", kFakeCatalog, {}}).status().code(), Code::kNotFound);
}

TEST(RelationNameTest, NumbersForksAndSegments) {
  const auto parsed = ParseRelationFileName("16384_vm.12");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->number, "16384");
  EXPECT_EQ(parsed->fork, "vm");
  EXPECT_EQ(parsed->segment, 12U);
  for (const char* good :
       {"1", "1259", "16384.1", "16384_fsm", "16384_init", "4294967295_vm.131071"}) {
    EXPECT_TRUE(ParseRelationFileName(good)) << good;
  }
  for (const char* bad :
       {"", "x", "1259x", "1259_", "1259_xyz", "1259.", "1259.x", "1259_vm.", "1259_vmx", "t1_2",
        "12345678901", "1.99999999999", "PG_VERSION", "pg_filenode.map"}) {
    EXPECT_FALSE(ParseRelationFileName(bad)) << bad;
  }
}

TEST(RelationNameTest, TemporaryRelations) {
  for (const char* good : {"t1_2", "t12_16384_fsm", "t3_16384.1", "t3_16384_vm.1"}) {
    EXPECT_TRUE(IsTemporaryRelationName(good)) << good;
  }
  for (const char* bad :
       {"", "t", "t1", "t1_", "t_2", "x1_2", "t1_2_x", "t1_2.", "16384", "t1_2_fsmx"}) {
    EXPECT_FALSE(IsTemporaryRelationName(bad)) << bad;
  }
}

TEST(RelationNameTest, KindsByPath) {
  for (const char* relation : {"base/5/1259", "base/5/1259_vm.1", "global/1262", "global/1262_fsm",
                               "pg_tblspc/16400/PG_15_202209061/5/16401"}) {
    EXPECT_EQ(KindOfPath(relation), FileKind::kRelation) << relation;
  }
  for (const char* plain :
       {"1259", "pg_xact/0000", "base/5/pg_filenode.map", "global/pg_control", "base/1259",
        "base/x/1259", "base/5/6/1259", "pg_tblspc/16400/5/16401", "pg_tblspc/16400", "other/5/1",
        "pg_tblspc/PG_15_202209061/5/16401", "pg_multixact/members/0001"}) {
    EXPECT_EQ(KindOfPath(plain), FileKind::kPlain) << plain;
  }
}

}  // namespace
}  // namespace pitr
