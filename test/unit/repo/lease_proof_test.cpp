#include "core/repo/lease_proof.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/file.h"
#include "core/base/json.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

const BranchId kBranch = "br-quiet-river-0a1b2c3d";

class LeaseProofTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(MakeDirectories(data_).ok()); }
  LeaseToken Intend(const LeaseToken& held, std::uint64_t number) {
    const Result<LeaseToken> token = IntendLease(data_, kBranch, held, number);
    EXPECT_TRUE(token.ok()) << token.status().ToString();
    return token.ok() ? *token : LeaseToken();
  }

  const TempDir dir_;
  const std::string data_ = dir_ / "data";
};

TEST_F(LeaseProofTest, ComesBackAsItWas) {
  const LeaseProof proof = {kBranch, {4, "aa"}, {5, "bb"}, {"boot", 1, 2, 3, 4}};
  const Result<LeaseProof> back = DecodeLeaseProof(EncodeLeaseProof(proof));
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->branch, kBranch);
  EXPECT_EQ(back->held, proof.held);
  EXPECT_EQ(back->intended, proof.intended);
  EXPECT_EQ(back->place, proof.place);
  for (const char* member : {"format", "branch_id", "held", "intended", "boot", "device", "inode",
                             "born_seconds", "born_nanos"}) {
    Json json = EncodeLeaseProof(proof);
    json.erase(member);
    EXPECT_EQ(DecodeLeaseProof(json).status().code(), Code::kCorrupt) << member;
  }
  Json json = EncodeLeaseProof(proof);
  json["format"] = 9;
  EXPECT_EQ(DecodeLeaseProof(json).status().code(), Code::kForeign);
}

TEST_F(LeaseProofTest, ProvesWhatIsHeldAndWhatIsIntendedOfItsBranch) {
  const LeaseProof proof = {kBranch, {4, "aa"}, {5, "bb"}, {}};
  EXPECT_TRUE(proof.Proves(kBranch, {4, "aa"}));
  EXPECT_TRUE(proof.Proves(kBranch, {5, "bb"}));
  EXPECT_FALSE(proof.Proves(kBranch, {5, "aa"}));
  EXPECT_FALSE(proof.Proves(kBranch, {6, "bb"}));
  EXPECT_FALSE(proof.Proves("br-other-river-0a1b2c3d", {4, "aa"}));
  EXPECT_FALSE(LeaseProof().Proves("", LeaseToken()));
}

TEST_F(LeaseProofTest, WhatIsIntendedStaysUntilAHigherNumber) {
  EXPECT_EQ(LoadLeaseProof(data_).status().code(), Code::kNotFound);
  const LeaseToken first = Intend({}, 1);
  EXPECT_EQ(first.number, 1U);
  EXPECT_EQ(first.nonce.size(), 32U);
  EXPECT_EQ(Intend({}, 1), first);
  const LeaseToken second = Intend(first, 2);
  EXPECT_NE(second.nonce, first.nonce);
  EXPECT_EQ(LoadLeaseProof(data_)->held, first);
  // A process that slept.
  EXPECT_EQ(IntendLease(data_, kBranch, {}, 1).status().code(), Code::kInUse);
  EXPECT_EQ(Intend(first, 2), second);
}

TEST_F(LeaseProofTest, AnotherBranchOrPlaceBeginsAnew) {
  const LeaseToken first = Intend({}, 5);
  const Result<LeaseToken> other = IntendLease(data_, "br-other-river-0a1b2c3d", {}, 5);
  ASSERT_TRUE(other.ok());
  EXPECT_NE(*other, first);
  LeaseProof proof = *LoadLeaseProof(data_);
  proof.place.inode++;
  ASSERT_TRUE(
      WriteFileDurably(LeaseProofPath(data_), AsBytes(DumpJson(EncodeLeaseProof(proof)))).ok());
  EXPECT_NE(*IntendLease(data_, proof.branch, {}, 5), *other);
}

TEST_F(LeaseProofTest, WhatCannotBeReadProvesNothing) {
  ASSERT_TRUE(MakeDirectories(data_ + "/pitr").ok());
  ASSERT_TRUE(WriteFileDurably(LeaseProofPath(data_), AsBytes("not json")).ok());
  EXPECT_EQ(LoadLeaseProof(data_).status().code(), Code::kCorrupt);
  EXPECT_EQ(Intend({}, 3).number, 3U);
  EXPECT_TRUE(LoadLeaseProof(data_).ok());
}

TEST_F(LeaseProofTest, APlaceIsMovedWithItsDirectoryButNotCopied) {
  const Result<LeasePlace> before = PlaceOf(data_);
  ASSERT_TRUE(before.ok()) << before.status().ToString();
  EXPECT_FALSE(before->boot.empty());
  const std::string moved = dir_ / "moved";
  ASSERT_EQ(std::rename(data_.c_str(), moved.c_str()), 0);
  EXPECT_EQ(*PlaceOf(moved), *before);
  ASSERT_EQ(std::system(("cp -a " + moved + " " + data_).c_str()), 0);
  EXPECT_NE(*PlaceOf(data_), *before);
  EXPECT_EQ(PlaceOf(dir_ / "absent").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace pitr
