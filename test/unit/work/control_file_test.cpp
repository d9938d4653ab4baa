#include "core/work/control_file.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "unit/support/fake_cluster.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

// First sector of files made by servers of each major, started once with settings that differ from the defaults; beside each
// what pg_controldata of that major says of it.
Bytes Golden(const std::string& name) {
  Result<Bytes> bytes = ReadFile(std::string(PITR_TEST_DIR) + "/golden/control_file/" + name, 8192);
  EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
  return bytes.ok() ? *bytes : Bytes();
}

struct Expected {
  const char* file;
  std::uint32_t version, catalog;
  std::uint64_t system_identifier, checkpoint, next_xid;
  const char* checkpoint_at;
};

class ControlFileOfMajor : public ::testing::TestWithParam<Expected> {};

TEST_P(ControlFileOfMajor, ReadsWhatPgControldataReads) {
  const Expected& expected = GetParam();
  const auto control = ParseControlFile(Golden(expected.file));
  ASSERT_TRUE(control.ok()) << control.status().ToString();
  EXPECT_EQ(control->control_version, expected.version);
  EXPECT_EQ(control->catalog_version, expected.catalog);
  EXPECT_EQ(control->system_identifier, expected.system_identifier);
  EXPECT_EQ(control->state, ClusterState::kShutDown);
  EXPECT_EQ(control->checkpoint.value, expected.checkpoint);
  EXPECT_EQ(control->redo.value, expected.checkpoint);
  EXPECT_EQ(FormatTime(control->checkpoint_at, 0), expected.checkpoint_at);
  EXPECT_EQ(FormatTime(control->written_at, 0), expected.checkpoint_at);
  EXPECT_EQ(control->timeline, 1U);
  EXPECT_EQ(control->previous_timeline, 1U);
  EXPECT_EQ(control->next_xid, expected.next_xid);
  EXPECT_TRUE(control->full_page_writes);
  EXPECT_FALSE(control->min_recovery_point.valid());
  EXPECT_FALSE(control->backup_end_required);
  EXPECT_EQ(control->settings.max_connections, 42);
  EXPECT_EQ(control->settings.max_worker_processes, 9);
  EXPECT_EQ(control->settings.max_wal_senders, 7);
  EXPECT_EQ(control->settings.max_prepared_transactions, 3);
  EXPECT_EQ(control->settings.max_locks_per_transaction, 65);
  EXPECT_EQ(control->settings.wal_level, 2);  // logical
  EXPECT_TRUE(control->settings.wal_log_hints);
  EXPECT_TRUE(control->settings.track_commit_timestamp);
  EXPECT_EQ(control->settings.data_checksum_version, 1U);
  EXPECT_EQ(control->block_size, 8192U);
  EXPECT_EQ(control->relation_segment_blocks, 131072U);
  EXPECT_EQ(control->wal_block_size, 8192U);
  EXPECT_EQ(control->wal_segment_size, 16U << 20);
}

TEST_P(ControlFileOfMajor, AnyChangedBitIsRefused) {
  const Bytes golden = Golden(GetParam().file);
  const std::size_t covered =
      GetParam().version == 1800 ? 296 : 292;  // up to and with the checksum
  for (std::size_t bit = 0; bit < covered * 8; bit++) {
    Bytes bytes = golden;
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(ParseControlFile(bytes).ok()) << bit;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Majors, ControlFileOfMajor,
    ::testing::Values(Expected{"pg15.bin", 1300, 202209061, 7710188227633557586, 0x1752A60, 724,
                               "2026-11-20T09:48:09Z"},
                      Expected{"pg17.bin", 1700, 202406281, 7710188239328821386, 0x17378F8, 738,
                               "2026-11-20T09:48:13Z"},
                      Expected{"pg18.bin", 1800, 202506291, 7710188253717504193, 0x1765DD8, 752,
                               "2026-11-20T09:48:16Z"}),
    [](const auto& test) { return std::string(test.param.file, 4); });

TEST(ControlFileTest, AnotherLayoutIsUnsupportedNotDamaged) {
  Bytes bytes = Golden("pg17.bin");
  bytes[8] = 0x6C;  // 1900
  bytes[9] = 0x07;
  EXPECT_EQ(ParseControlFile(bytes).status().code(), Code::kUnsupported);
}

TEST(ControlFileTest, AShortFileIsRefused) {
  const Bytes golden = Golden("pg18.bin");
  for (std::size_t size = 0; size < 296; size++) {
    EXPECT_FALSE(ParseControlFile(ByteView(golden).first(size)).ok());
  }
}

TEST(ControlFileTest, ReadsAClustersFileAndNamesADamagedOne) {
  const TempDir dir;
  const FakeCluster cluster(dir / "data");
  ASSERT_TRUE(ReadControlFile(cluster.path()).ok());
  EXPECT_EQ(ReadControlFile(cluster.path())->catalog_version, kFakeCatalog);
  cluster.Put("global/pg_control", std::string(8192, 'x'));
  const Status status = ReadControlFile(cluster.path()).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("global/pg_control"), std::string::npos) << status.ToString();
  EXPECT_EQ(ReadControlFile(dir / "nothing").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace pitr
