// Operation and audit records in the catalogue's logs.
#include "core/repo/records.h"

#include <gtest/gtest.h>

#include "core/store/open_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

std::unique_ptr<Repository> NewRepository(const TempDir& dir) {
  Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({dir.path()}, true);
  EXPECT_TRUE(repo.ok()) << repo.status().ToString();
  return repo.ok() ? std::move(*repo) : nullptr;
}

TEST(RecordsTest, TheLastEntryOfAnOperationWins) {
  const TempDir dir;
  const std::unique_ptr<Repository> repo = NewRepository(dir);
  OperationRecord record;
  record.id = "op-1";
  record.kind = "restore";
  record.state = "running";
  record.started_at = {5};
  ASSERT_TRUE(AppendOperation(repo.get(), record).ok());
  record.id = "op-2";
  ASSERT_TRUE(AppendOperation(repo.get(), record).ok());
  record.id = "op-1";
  record.state = "failed";
  record.error = "it broke";
  record.finished_at = Timestamp{9};
  record.target_lsn = {0x5000028};
  ASSERT_TRUE(AppendOperation(repo.get(), record).ok());
  const Result<std::vector<OperationRecord>> records = ReadOperations(repo.get(), 0);
  ASSERT_TRUE(records.ok());
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].id, "op-1");
  EXPECT_EQ((*records)[0].state, "failed");
  EXPECT_EQ((*records)[0].error, "it broke");
  EXPECT_EQ((*records)[0].finished_at->micros, 9);
  EXPECT_EQ((*records)[0].target_lsn.value, 0x5000028U);
  EXPECT_EQ((*records)[1].state, "running");
  EXPECT_FALSE((*records)[1].finished_at.has_value());
}

TEST(RecordsTest, AuditKeepsOrderAndEveryField) {
  const TempDir dir;
  const std::unique_ptr<Repository> repo = NewRepository(dir);
  ASSERT_TRUE(
      AppendAudit(repo.get(), {{1}, "alice", "10.0.0.1", "main", "f", "'x'", "op-1", "done", ""})
          .ok());
  ASSERT_TRUE(
      AppendAudit(repo.get(), {{2}, "bob", "", "main", "g", "", "", "refused", "42501"}).ok());
  const Result<std::vector<AuditRecord>> rows = ReadAudit(repo.get(), 10);
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].role_name, "alice");
  EXPECT_EQ((*rows)[0].client_addr, "10.0.0.1");
  EXPECT_EQ((*rows)[0].operation_id, "op-1");
  EXPECT_EQ((*rows)[1].outcome, "refused");
  EXPECT_EQ((*rows)[1].sqlstate, "42501");
}

}  // namespace
}  // namespace pitr
