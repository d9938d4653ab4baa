#include "core/repo/replica_set.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/repo/repository.h"
#include "core/store/member_ledger.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

// Of places that were repositories before.
class Remembering final : public MemberLedger {
 public:
  bool IsResting(const std::string&) override { return false; }
  void Failed(const std::string&, const Status&) override {}
  void Answered(const std::string&) override {}
  void Missed(const std::string&, const std::string&, std::uint64_t) override {}
  bool IsBehind(const std::string&, bool otherwise) override { return otherwise; }
  void Damaged(const std::string&, const std::string&) override {}
  bool WasMember(const std::string& place) override { return place == was_member; }
  std::string was_member;
};

class ReplicaSetTest : public testing::Test {
 protected:
  std::vector<StoreAddress> Entries(const std::string& second_mode = "best_effort") {
    return *ParseStoreAddresses(first_.path() + "," + second_.path() + "?mode=" + second_mode);
  }
  Result<std::unique_ptr<Repository>> Open(bool create,
                                           const std::string& second_mode = "best_effort") {
    PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectStore> store,
                          OpenReplicas(Entries(second_mode), create, &ledger_));
    return Repository::Open(std::move(store), create);
  }
  static std::string IdIn(const TempDir& folder) {
    const auto repo = Repository::OpenAddress({folder.path(), {}}, false);
    return repo.ok() ? (*repo)->id() : repo.status().ToString();
  }

  TempDir first_, second_;
  Remembering ledger_;
};

TEST_F(ReplicaSetTest, EmptyOnesBecomeOneRepository) {
  const auto repo = Open(true);
  ASSERT_TRUE(repo.ok()) << repo.status().ToString();
  EXPECT_EQ(IdIn(first_), (*repo)->id());
  EXPECT_EQ(IdIn(second_), (*repo)->id());
  EXPECT_TRUE(Open(false).ok());
}

TEST_F(ReplicaSetTest, NothingIsMadeUnasked) {
  EXPECT_EQ(Open(false).status().code(), Code::kNotReady);
  EXPECT_TRUE(ListDirectory(first_.path())->empty());
}

TEST_F(ReplicaSetTest, AnEmptyOneBesideARepositoryIsNotMadeAnother) {
  ASSERT_TRUE(Repository::OpenAddress({first_.path(), {}}, true).ok());
  const auto repo = Open(true);
  ASSERT_TRUE(repo.ok()) << repo.status().ToString();
  EXPECT_TRUE(ListDirectory(second_.path())->empty());
}

TEST_F(ReplicaSetTest, TwoRepositoriesAreRefusedNamingBoth) {
  ASSERT_TRUE(Repository::OpenAddress({first_.path(), {}}, true).ok());
  ASSERT_TRUE(Repository::OpenAddress({second_.path(), {}}, true).ok());
  const Status status = Open(false).status();
  EXPECT_EQ(status.code(), Code::kForeign);
  EXPECT_NE(status.message().find(first_.path()), std::string::npos);
  EXPECT_NE(status.message().find(second_.path()), std::string::npos);
  EXPECT_NE(status.detail().find(IdIn(second_)), std::string::npos);
}

TEST_F(ReplicaSetTest, AForeignFolderIsRefused) {
  ASSERT_TRUE(Repository::OpenAddress({first_.path(), {}}, true).ok());
  ASSERT_TRUE(WriteFileDurably(second_ / "letter.txt", AsBytes("x")).ok());
  EXPECT_EQ(Open(false).status().code(), Code::kForeign);
}

TEST_F(ReplicaSetTest, OneThatSomebodyIsAboutToMakeIsEmpty) {
  ASSERT_TRUE(MakeDirectories(first_ / "probe").ok());
  ASSERT_TRUE(WriteFileDurably(first_ / "probe/x", AsBytes("x")).ok());
  EXPECT_EQ(Open(false).status().code(), Code::kNotReady);
  EXPECT_TRUE(Open(true).ok());
}

TEST_F(ReplicaSetTest, AnEmptyOneThatWasARepositoryIsAnError) {
  ASSERT_TRUE(Repository::OpenAddress({first_.path(), {}}, true).ok());
  ledger_.was_member = Entries()[1].place;
  const auto best_effort = Open(false);
  EXPECT_TRUE(best_effort.ok()) << best_effort.status().ToString();
  const auto required = Open(false, "required");
  ASSERT_TRUE(required.ok()) << required.status().ToString();
  EXPECT_EQ((*required)->store()->Put("x", {}).code(), Code::kIo);
  EXPECT_TRUE(ListDirectory(second_.path())->empty());
}

TEST_F(ReplicaSetTest, OneThatIsBeingFilledIsNoRepositoryYet) {
  MemoryStore store;
  ASSERT_TRUE(store
                  .Put("replica.json",
                       AsBytes("{\"format\":\"pitr_ext replica\",\"version\":1,\"id\":\"aa\"}"))
                  .ok());
  ASSERT_TRUE(store.Put("keys/00000000000000000001", {}).ok());
  const auto look = LookAtReplica(&store);
  ASSERT_TRUE(look.ok()) << look.status().ToString();
  EXPECT_EQ(look->kind, ReplicaKind::kFilling);
  EXPECT_EQ(look->id, "aa");
  const Status opened =
      Repository::Open(std::make_unique<MemoryStore>(store.shared()), false).status();
  EXPECT_EQ(opened.code(), Code::kNotReady);
  EXPECT_NE(opened.message().find("not filled yet"), std::string::npos);
}

TEST_F(ReplicaSetTest, PiecesOfTheTailMayBeReplacedAndWalNot) {
  EXPECT_TRUE(MayBeReplaced("branches/br-1/tail/00000001/x"));
  EXPECT_TRUE(MayBeReplaced("probe/1"));
  EXPECT_FALSE(MayBeReplaced("branches/br-1/wal/00000001/x"));
  EXPECT_FALSE(MayBeReplaced("catalog/tail/1"));
}

}  // namespace

}  // namespace pitr
