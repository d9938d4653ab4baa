// Pins keep a snapshot from being deleted, as long as their branch is there and they are renewed; of a pin and a deletion that meet, one wins.
#include "core/repo/pins.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/repo/unbuilt.h"
#include "core/store/open_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr const char* kSnapshot = "sn-20261120T080000-00000001";
constexpr const char* kOther = "sn-20261120T090000-00000002";
constexpr const char* kBranch = "br-test-branch-1";
constexpr const char* kDirectory = "/var/lib/postgresql/15/new";

class PinsTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({dir_.path()}, true);
    ASSERT_TRUE(repo.ok()) << repo.status().ToString();
    repo_ = std::move(*repo);
    now_ = *ParseRfc3339("2026-11-20T10:00:00Z");
    for (const char* id : {kSnapshot, kOther}) {
      ASSERT_TRUE(repo_->store()->Put(layout::ManifestObject(id), AsBytes("manifest")).ok());
    }
    ASSERT_TRUE(UpdateBranches(repo_.get(), [&](BranchSet* set) {
                  Branch branch;
                  branch.id = kBranch;
                  branch.name = "main_restored";
                  branch.root = {7123456789012345678ULL, 15, 16U << 20};
                  branch.created_at = branch.updated_at = now_;
                  set->Add(branch);
                  return Status::Ok();
                }).ok());
  }
  Status PinIt(const char* snapshot) {
    return PinSnapshot(repo_.get(), NewPin(snapshot, kBranch, kDirectory, now_));
  }
  Branch Unbuilt(const std::string& process) const {
    Branch branch;
    branch.state = "creating";
    branch.created_at = now_;
    branch.builder_process = process;
    return branch;
  }
  // What is marked of the two.
  std::vector<SnapshotId> Mark(Timestamp when, Status* why = nullptr) {
    std::vector<SnapshotId> gone = {kSnapshot, kOther};
    const Status status = MarkDeleted(repo_.get(), &gone, when, why);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return gone;
  }
  std::vector<Pin> Pins() {
    const Result<Json> document = ReadDocument(repo_.get(), "snapshots");
    EXPECT_TRUE(document.ok());
    const Result<std::vector<Pin>> pins = PinsIn(*document);
    EXPECT_TRUE(pins.ok()) << pins.status().ToString();
    return pins.ok() ? *pins : std::vector<Pin>();
  }

  const TempDir dir_;
  std::unique_ptr<Repository> repo_;
  Timestamp now_;
};

TEST_F(PinsTest, APinnedSnapshotIsNotMarked) {
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  Status why;
  EXPECT_EQ(Mark(now_, &why), std::vector<SnapshotId>{kOther});
  EXPECT_EQ(why.code(), Code::kInUse);
  EXPECT_EQ(why.message(),
            "the directory of branch \"main_restored\" is still being loaded from "
            "snapshot \"sn-20261120T080000-00000001\"");
  EXPECT_NE(why.detail().find(kDirectory), std::string::npos) << why.detail();
  EXPECT_NE(why.detail().find("2026-11-27T10:00:00Z"), std::string::npos) << why.detail();
}

TEST_F(PinsTest, APinThatNobodyRenewsIsOver) {
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  EXPECT_EQ(Mark({now_.micros + kPinMicros}), std::vector<SnapshotId>{kOther});
  EXPECT_EQ(Mark({now_.micros + kPinMicros + 1}).size(), 2U);
}

TEST_F(PinsTest, APinOfABranchThatIsGoneIsVoid) {
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  ASSERT_TRUE(UpdateBranches(repo_.get(), [&](BranchSet* set) {
                set->FindId(kBranch)->deleted_at = now_;
                return Status::Ok();
              }).ok());
  EXPECT_EQ(Mark(now_).size(), 2U);
}

TEST_F(PinsTest, ABranchHasOnePin) {
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  ASSERT_TRUE(PinIt(kOther).ok());
  const std::vector<Pin> pins = Pins();
  ASSERT_EQ(pins.size(), 1U);
  EXPECT_EQ(pins[0].snapshot, kOther);
  EXPECT_EQ(pins[0].branch, kBranch);
  EXPECT_EQ(pins[0].directory, kDirectory);
  EXPECT_EQ(pins[0].expires_at.micros, now_.micros + kPinMicros);
  EXPECT_FALSE(pins[0].host.empty());
}

TEST_F(PinsTest, UnpinningLetsGoOfAll) {
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  for (int round = 0; round < 2; round++) {
    ASSERT_TRUE(UnpinBranch(repo_.get(), kBranch).ok());
    EXPECT_TRUE(Pins().empty());
  }
  EXPECT_EQ(Mark(now_).size(), 2U);
}

// The deleter looks once more, and leaves the manifest.
TEST_F(PinsTest, APinTakesADeletionBackThatHasNotGotFar) {
  ASSERT_EQ(Mark(now_).size(), 2U);
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  EXPECT_EQ(CheckStillMarked(repo_.get(), kSnapshot).code(), Code::kInUse);
  EXPECT_TRUE(CheckStillMarked(repo_.get(), kOther).ok());
}

TEST_F(PinsTest, ASnapshotThatIsGoneCannotBePinned) {
  ASSERT_TRUE(repo_->store()->Remove(layout::ManifestObject(kSnapshot)).ok());
  EXPECT_EQ(PinIt(kSnapshot).code(), Code::kNotFound);
  EXPECT_TRUE(Pins().empty());
}

TEST_F(PinsTest, KeptOnesAreNotMarked) {
  ASSERT_TRUE(UpdateDocument(repo_.get(), "snapshots", [](Json* document) {
                (*document)[kOther]["kept"] = true;
                return Status::Ok();
              }).ok());
  Status why;
  EXPECT_EQ(Mark(now_, &why), std::vector<SnapshotId>{kSnapshot});
  EXPECT_EQ(why.code(), Code::kNotReady);
}

TEST_F(PinsTest, DamageIsNamed) {
  ASSERT_TRUE(UpdateDocument(repo_.get(), "snapshots", [](Json* document) {
                (*document)[kOther]["pins"][kBranch]["host"] = 7;
                return Status::Ok();
              }).ok());
  std::vector<SnapshotId> gone = {kSnapshot};
  const Status status = MarkDeleted(repo_.get(), &gone, now_, nullptr);
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find(kOther), std::string::npos) << status.ToString();
}

TEST_F(PinsTest, ALineWhoseBuilderIsGoneLeavesWithItsPin) {
  const std::string own = OwnProcessMark();
  const std::string gone = own.substr(0, own.rfind(' ')) + " 1";
  const auto drop = [&](const std::string& state, const std::string& process, Timestamp now,
                        const BranchId& self = "br-other-1") {
    EXPECT_TRUE(UpdateBranches(repo_.get(), [&](BranchSet* set) {
                  set->FindId(kBranch)->state = state;
                  set->FindId(kBranch)->builder_process = process;
                  return Status::Ok();
                }).ok());
    const Result<BranchSet> before = ReadBranches(repo_.get());
    EXPECT_TRUE(DropGivenUp(repo_.get(), *before, self, now).ok());
    return ReadBranches(repo_.get())->FindId(kBranch) == nullptr;
  };
  ASSERT_TRUE(PinIt(kSnapshot).ok());
  const Timestamp late = {now_.micros + 8LL * 86400 * 1000000};
  EXPECT_FALSE(drop("creating", own, now_)) << "it is being built";
  EXPECT_FALSE(drop("creating", "elsewhere 1 2 3", now_)) << "nobody here knows";
  EXPECT_FALSE(drop("stopped", gone, late)) << "it was built";
  EXPECT_FALSE(drop("creating", gone, now_, kBranch)) << "a server runs on it";
  EXPECT_TRUE(IsGivenUp(Unbuilt("elsewhere 1 2 3"), late)) << "for seven days";
  EXPECT_EQ(Pins().size(), 1U);
  EXPECT_TRUE(drop("creating", gone, now_));
  EXPECT_TRUE(Pins().empty());
  EXPECT_TRUE(ReadBranches(repo_.get())->name_spans.empty());
}

}  // namespace
}  // namespace pitr
