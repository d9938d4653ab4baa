#include "core/repo/repository.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/json.h"
#include "unit/support/fault_store.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

class RepositoryTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Repository>> Open(bool create) {
    return Repository::Open(std::make_unique<MemoryStore>(objects_), create);
  }
  void PutDescription(std::string_view text) {
    MemoryStore store(objects_);
    ASSERT_TRUE(store.Remove("repository.json").ok());
    ASSERT_TRUE(store.Put("repository.json", AsBytes(text)).ok());
  }

  std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
};

TEST_F(RepositoryTest, IsMadeOnceAndKeepsItsId) {
  Result<std::unique_ptr<Repository>> made = Open(true);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)->id().size(), 32U);
  for (const bool create : {false, true}) {
    Result<std::unique_ptr<Repository>> again = Open(create);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ((*again)->id(), (*made)->id());
  }
  EXPECT_EQ(objects_->objects.size(), 1U);
}

TEST_F(RepositoryTest, NothingThereIsNotReadyAndNothingIsMade) {
  const Status status = Open(false).status();
  EXPECT_EQ(status.code(), Code::kNotReady);
  EXPECT_FALSE(status.hint().empty());
  EXPECT_TRUE(objects_->objects.empty());
}

TEST_F(RepositoryTest, AFolderWithOtherThingsIsForeign) {
  MemoryStore(objects_).Put("photos/cat.jpg", {}).ok();
  const Status status = Open(true).status();
  EXPECT_EQ(status.code(), Code::kForeign);
  EXPECT_NE(status.detail().find("photos/"), std::string::npos) << status.detail();
  EXPECT_EQ(objects_->objects.size(), 1U);
}

TEST_F(RepositoryTest, OtherFormatsVersionsAndCiphersAreForeign) {
  for (const std::string text :
       {R"({"format":"other","version":1,"id":"x","cipher":"none"})",
        R"({"format":"pitr_ext repository","version":2,"id":"x","cipher":"none"})",
        R"({"format":"pitr_ext repository","version":0,"id":"x","cipher":"none"})",
        R"({"format":"pitr_ext repository","version":1,"id":"x","cipher":"aes-256-gcm"})",
        R"({"name":"package"})"}) {
    PutDescription(text);
    EXPECT_EQ(Open(false).status().code(), Code::kForeign) << text;
    EXPECT_EQ(Open(true).status().code(), Code::kForeign) << text;
  }
}

TEST_F(RepositoryTest, ADamagedDescriptionIsCorrupt) {
  for (const std::string text :
       {"", "{", R"({"format":"pitr_ext repository","version":1,"cipher":"none"})",
        R"({"format":"pitr_ext repository","version":1,"id":"x"})"}) {
    PutDescription(text);
    EXPECT_EQ(Open(true).status().code(), Code::kCorrupt) << text;
  }
}

// No other error may look like "nothing there".
TEST_F(RepositoryTest, AStoreThatDoesNotAnswerIsNoEmptyRepository) {
  ASSERT_TRUE(Open(true).ok());
  for (const bool create : {false, true}) {
    MemoryStore inner(objects_);
    auto store = std::make_unique<FaultStore>(
        &inner, FaultStore::Plan{FaultStore::kDieBefore, 0, Code::kUnavailable});
    EXPECT_EQ(Repository::Open(std::move(store), create).status().code(), Code::kUnavailable);
  }
}

TEST_F(RepositoryTest, TwoThatMakeItAtOnceGetTheSameOne) {
  for (int round = 0; round < 50; round++) {
    objects_ = std::make_shared<MemoryObjects>();
    std::string ids[2];
    std::thread threads[2];
    for (int i = 0; i < 2; i++) {
      threads[i] = std::thread([&, i] {
        Result<std::unique_ptr<Repository>> made = Open(true);
        ids[i] = made.ok() ? (*made)->id() : made.status().ToString();
      });
    }
    threads[0].join();
    threads[1].join();
    EXPECT_EQ(ids[0], ids[1]);
  }
}

// Crash sweep: whatever making it leaves behind, the next one makes or finds a whole repository.
TEST_F(RepositoryTest, DyingWhileMakingItLeavesAllOrNothing) {
  for (const auto way : {FaultStore::kDieBefore, FaultStore::kDieAfter}) {
    for (int at = 0;; at++) {
      objects_ = std::make_shared<MemoryObjects>();
      MemoryStore inner(objects_);
      const bool done =
          Repository::Open(std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at}), true)
              .ok();
      Result<std::unique_ptr<Repository>> again = Open(true);
      ASSERT_TRUE(again.ok()) << again.status().ToString();
      if (done) {
        break;
      }
    }
  }
}

TEST_F(RepositoryTest, OpensByAddress) {
  const TempDir directory;
  EXPECT_EQ(Repository::OpenAddress(directory.path(), false).status().code(), Code::kNotReady);
  ASSERT_TRUE(Repository::OpenAddress(directory.path(), true).ok());
  Result<std::unique_ptr<Repository>> again = Repository::OpenAddress(directory.path(), false);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->Describe(), directory.path());
  Result<std::string> text = ReadTextFile(directory / "repository.json", 10000);
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->find("\"format\": \"pitr_ext repository\""), std::string::npos) << *text;
  EXPECT_EQ(Repository::OpenAddress("relative", true).status().code(), Code::kInvalidArgument);
}

TEST_F(RepositoryTest, RemembersTheHighestNumberOnly) {
  const std::unique_ptr<Repository> repo = *Open(true);
  EXPECT_EQ(repo->NewestSeen("audit"), 0U);
  repo->SetNewestSeen("audit", 7);
  repo->SetNewestSeen("audit", 3);
  EXPECT_EQ(repo->NewestSeen("audit"), 7U);
  EXPECT_EQ(repo->NewestSeen("branches"), 0U);
}

}  // namespace

}  // namespace pitr
