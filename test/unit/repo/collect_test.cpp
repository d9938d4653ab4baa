// What a killed snapshot leaves goes, what somebody uses or writes stays.
#include "core/repo/collect.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"
#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/repo/records.h"
#include "core/store/open_store.h"
#include "unit/support/manifest_text.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr const char* kOld = "sn-20261120T080000-00000001";
constexpr const char* kNew = "sn-20261120T095900-00000002";

class CollectTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({dir_.path()}, true);
    ASSERT_TRUE(repo.ok()) << repo.status().ToString();
    repo_ = std::move(*repo);
    now_ = *ParseRfc3339("2026-11-20T10:00:00Z");
    before_ = {now_.micros - 3600LL * 1000000};
    for (const char* id : {kOld, kNew}) {
      ASSERT_TRUE(repo_->store()->Put(layout::PackObject(id, 1), AsBytes("frames")).ok());
    }
  }
  bool HasPack(const char* id) { return repo_->store()->Stat(layout::PackObject(id, 1)).ok(); }
  void Collect() {
    const Status status = CollectAbandonedPacks(repo_.get(), before_, now_);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Record(const char* state, std::int64_t seconds_ago, bool finished) {
    OperationRecord record;
    record.id = "op-1";
    record.kind = "snapshot";
    record.state = state;
    record.started_at = {now_.micros - seconds_ago * 1000000};
    if (finished) {
      record.finished_at = now_;
    }
    ASSERT_TRUE(AppendOperation(repo_.get(), record).ok());
  }

  const TempDir dir_;
  std::unique_ptr<Repository> repo_;
  Timestamp now_, before_;
};

TEST_F(CollectTest, OnlyOldPacksWithoutManifestGo) {
  Collect();
  EXPECT_FALSE(HasPack(kOld));
  EXPECT_TRUE(HasPack(kNew));
  Collect();
}

TEST_F(CollectTest, NothingGoesWhileASnapshotMayBeWriting) {
  Record("running", 7200, false);
  Collect();
  EXPECT_TRUE(HasPack(kOld));
  Record("failed", 7200, true);
  Collect();
  EXPECT_FALSE(HasPack(kOld));
}

TEST_F(CollectTest, AServerThatNeverCameBackDoesNotKeepThemForEver) {
  Record("running", 8LL * 86400, false);
  Collect();
  EXPECT_FALSE(HasPack(kOld));
}

TEST_F(CollectTest, PacksThatAManifestNamesStay) {
  Manifest manifest = SampleManifest();
  manifest.packs[0] = {kOld, 1};
  const Status written = WriteManifest(repo_.get(), manifest);
  ASSERT_TRUE(written.ok()) << written.ToString();
  Collect();
  EXPECT_TRUE(HasPack(kOld));
}

}  // namespace
}  // namespace pitr
