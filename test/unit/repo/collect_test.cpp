// What a killed snapshot leaves goes, what somebody uses or writes stays.
#include "core/repo/collect.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"
#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/repo/manifest_packs.h"
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
    const Status status = CollectAbandonedPacks(repo_.get(), before_, now_, &state_);
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
  CollectState state_;
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

// ---- packs that increments share ----

class RemoveSnapshotTest : public CollectTest {
 protected:
  // A manifest that names these packs, with a frame in each.
  void Write(const std::string& id, std::vector<PackRef> packs) {
    Manifest manifest = SampleManifest();
    manifest.id = id;
    manifest.bad_pages.clear();
    manifest.files.clear();
    manifest.frames.clear();
    for (std::uint32_t i = 0; i < packs.size(); i++) {
      manifest.frames.push_back({i, 64, 100, 100, 1, true});
      if (packs[i].snapshot == id) {
        ASSERT_TRUE(repo_->store()
                        ->Put(layout::PackObject(id, packs[i].number), AsBytes("0123456789"))
                        .ok());
      }
    }
    manifest.packs = std::move(packs);
    const Status written = WriteManifest(repo_.get(), manifest);
    ASSERT_TRUE(written.ok()) << written.ToString();
  }
  std::uint64_t Remove(const std::string& id) {
    const Result<std::uint64_t> freed = RemoveSnapshot(repo_.get(), id);
    EXPECT_TRUE(freed.ok()) << freed.status().ToString();
    EXPECT_EQ(repo_->store()->Stat(layout::ManifestObject(id)).status().code(), Code::kNotFound);
    return freed.ok() ? *freed : 0;
  }
  bool Has(const std::string& id, std::uint32_t number) {
    return repo_->store()->Stat(layout::PackObject(id, number)).ok();
  }
  const std::string a_ = "sn-20261120T070000-0000000a", b_ = "sn-20261120T071000-0000000b",
                    c_ = "sn-20261120T072000-0000000c";
};

TEST_F(RemoveSnapshotTest, APackStaysAsLongAsAnyManifestNamesIt) {
  Write(a_, {{a_, 1}, {a_, 2}});
  Write(b_, {{a_, 1}, {b_, 1}});
  Write(c_, {{a_, 1}, {b_, 1}, {c_, 1}});
  EXPECT_EQ(Remove(a_), 10U);
  EXPECT_TRUE(Has(a_, 1));
  EXPECT_FALSE(Has(a_, 2));
  EXPECT_EQ(Remove(c_), 10U);
  EXPECT_TRUE(Has(a_, 1) && Has(b_, 1));
  EXPECT_EQ(Remove(b_), 20U) << "its own and the one that it took over";
  EXPECT_FALSE(Has(a_, 1) || Has(b_, 1) || Has(c_, 1));
}

TEST_F(RemoveSnapshotTest, WhatAKilledRemovalLeavesIsCollected) {
  Write(a_, {{a_, 1}, {a_, 2}});
  Write(b_, {{a_, 2}, {b_, 1}});
  ASSERT_TRUE(repo_->store()->Remove(layout::ManifestObject(a_)).ok());
  Collect();
  EXPECT_FALSE(Has(a_, 1));
  EXPECT_TRUE(Has(a_, 2));
  Collect();
  EXPECT_TRUE(Has(a_, 2));
  ASSERT_TRUE(repo_->store()->Remove(layout::ManifestObject(b_)).ok());
  Collect();
  EXPECT_FALSE(Has(a_, 2) || Has(b_, 1));
}

// Nobody knows what it needs.
TEST_F(RemoveSnapshotTest, NothingGoesWhileAManifestCannotBeRead) {
  Write(a_, {{a_, 1}});
  Write(b_, {{a_, 1}});
  const std::string name = layout::ManifestObject(b_);
  Bytes bytes = *repo_->store()->Get(name, 1U << 20);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(repo_->store()->Remove(name).ok());
  ASSERT_TRUE(repo_->store()->Put(name, bytes).ok());
  EXPECT_EQ(Remove(a_), 0U);
  EXPECT_TRUE(Has(a_, 1));
  EXPECT_FALSE(CollectAbandonedPacks(repo_.get(), before_, now_, &state_).ok());
  EXPECT_TRUE(Has(a_, 1));
  EXPECT_EQ(Remove(b_), 0U) << "its own list cannot be read either";
  Collect();
  EXPECT_FALSE(Has(a_, 1));
}

TEST_F(RemoveSnapshotTest, TheListOfPacksIsTheManifests) {
  Write(a_, {{a_, 1}, {b_, 7}, {a_, 3}});
  const Result<std::vector<PackRef>> packs = ReadManifestPacks(repo_.get(), a_);
  ASSERT_TRUE(packs.ok()) << packs.status().ToString();
  ASSERT_EQ(packs->size(), 3U);
  EXPECT_EQ((*packs)[1].snapshot, b_);
  EXPECT_EQ((*packs)[1].number, 7U);
  EXPECT_EQ(ReadManifestPacks(repo_.get(), b_).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace pitr
