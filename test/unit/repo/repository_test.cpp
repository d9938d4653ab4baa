#include "core/repo/repository.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/repo/layout.h"
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
        R"({"format":"pitr_ext repository","version":1,"id":"x","cipher":"aes-512-gcm"})",
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

// One that ignores the condition, one that refuses it, and one that looks too early: found out when the repository is made, and
// remembered in it.
TEST_F(RepositoryTest, AStoreWithoutConditionsIsKnownAsSuch) {
  ASSERT_TRUE((*Open(true))->conditional_writes());
  EXPECT_EQ(objects_->objects.size(), 1U);  // nothing is left of the probes
  for (bool MemoryObjects::*lack :
       {&MemoryObjects::takes_names_twice, &MemoryObjects::refuses_conditions,
        &MemoryObjects::looks_too_early}) {
    objects_ = std::make_shared<MemoryObjects>();
    (*objects_).*lack = true;
    for (const bool create : {true, false}) {
      Result<std::unique_ptr<Repository>> repo = Open(create);
      ASSERT_TRUE(repo.ok()) << repo.status().ToString();
      EXPECT_FALSE((*repo)->conditional_writes());
      EXPECT_EQ((*repo)->store()->Put("repository.json", {}).code(), Code::kAlreadyExists);
    }
    EXPECT_EQ(objects_->objects.size(), 1U);
  }
}

// What a probe that was killed leaves behind is nobody's.
TEST_F(RepositoryTest, AProbeThatWasLeftIsNotInTheWay) {
  MemoryStore(objects_).Put("probe/0123", {}).ok();
  EXPECT_TRUE(Open(true).ok());
}

TEST_F(RepositoryTest, OpensByAddress) {
  const TempDir directory;
  EXPECT_EQ(Repository::OpenAddress({directory.path()}, false).status().code(), Code::kNotReady);
  ASSERT_TRUE(Repository::OpenAddress({directory.path()}, true).ok());
  Result<std::unique_ptr<Repository>> again = Repository::OpenAddress({directory.path()}, false);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->Describe(), directory.path());
  Result<std::string> text = ReadTextFile(directory / "repository.json", 10000);
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->find("\"format\": \"pitr_ext repository\""), std::string::npos) << *text;
  EXPECT_EQ(Repository::OpenAddress({"relative"}, true).status().code(), Code::kInvalidArgument);
}

// -- encrypted -----------------------------------------------------------------------------------

class EncryptedRepositoryTest : public RepositoryTest {
 protected:
  Result<std::unique_ptr<Repository>> OpenWith(const std::vector<SecretKey>& keys, bool create) {
    return Repository::Open(std::make_unique<MemoryStore>(objects_), create, KeyRing(keys));
  }

  const SecretKey key_ = *SecretKey::Random(), other_ = *SecretKey::Random();
};

TEST_F(EncryptedRepositoryTest, IsMadeWithAKeyAndOpenedByIt) {
  const Result<std::unique_ptr<Repository>> made = OpenWith({key_}, true);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_TRUE((*made)->is_encrypted());
  EXPECT_EQ((*made)->key_id(), key_.Id());
  ASSERT_TRUE((*made)->store()->Put("some/object", AsBytes("plain words")).ok());
  for (const auto& [name, bytes] : objects_->objects) {
    EXPECT_EQ(AsText(bytes).find("plain words"), std::string_view::npos) << name;
  }
  // What it is can be read without a key.
  const std::string_view description = AsText(objects_->objects.at("repository.json"));
  EXPECT_NE(description.find("\"cipher\": \"aes-256-gcm\""), std::string_view::npos);
  for (const bool create : {false, true}) {
    const Result<std::unique_ptr<Repository>> again = OpenWith({other_, key_}, create);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ((*again)->id(), (*made)->id());
    EXPECT_EQ(AsText(*(*again)->store()->Get("some/object", 100)), "plain words");
  }
}

TEST_F(EncryptedRepositoryTest, WithoutTheRightKeyItIsOneClearError) {
  ASSERT_TRUE(OpenWith({key_}, true).ok());
  for (const bool create : {false, true}) {
    const Status missing = OpenWith({}, create).status();
    EXPECT_EQ(missing.code(), Code::kKeyMissing);
    EXPECT_NE(missing.detail().find(key_.Id()), std::string::npos) << missing.ToString();
    const Status wrong = OpenWith({other_}, create).status();
    EXPECT_EQ(wrong.code(), Code::kKeyMissing);
    EXPECT_NE(wrong.detail().find(key_.Id()), std::string::npos) << wrong.ToString();
    EXPECT_NE(wrong.detail().find(other_.Id()), std::string::npos) << wrong.ToString();
    EXPECT_FALSE(missing.hint().empty() || wrong.hint().empty());
  }
}

TEST_F(EncryptedRepositoryTest, APlainOneIsNotOpenedWithAKey) {
  ASSERT_TRUE(Open(true).ok());
  EXPECT_FALSE((*Open(false))->is_encrypted());
  const Status status = OpenWith({key_}, true).status();
  EXPECT_EQ(status.code(), Code::kKeyMissing);
  EXPECT_NE(status.message().find("not encrypted"), std::string::npos) << status.ToString();
  EXPECT_EQ((*Open(false))->Rewrap(KeyRing({key_})).status().code(), Code::kNotReady);
}

TEST_F(EncryptedRepositoryTest, LostKeysAreNeverMadeAnew) {
  ASSERT_TRUE((*OpenWith({key_}, true))->store()->Put("some/object", AsBytes("x")).ok());
  objects_->objects.erase(layout::KeyObject(1));
  for (const bool create : {false, true}) {
    const Status status = OpenWith({key_}, create).status();
    EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
    EXPECT_NE(status.hint().find("keys"), std::string::npos);
  }
  EXPECT_EQ(objects_->objects.count(layout::KeyObject(1)), 0U);
}

TEST_F(EncryptedRepositoryTest, DyingWhileMakingItLeavesOneThatIsFinishedLater) {
  for (const auto way : {FaultStore::kDieBefore, FaultStore::kDieAfter}) {
    bool is_done = false;
    for (int at = 0; !is_done; at++) {
      ASSERT_LT(at, 100);
      objects_ = std::make_shared<MemoryObjects>();
      MemoryStore inner(objects_);
      is_done = Repository::Open(std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at}),
                                 true, KeyRing({key_}))
                    .ok();
      // Whoever only looks is told that it is not ready, never that its keys are lost.
      const std::size_t before = objects_->objects.size();
      const Status looked = OpenWith({key_}, false).status();
      EXPECT_TRUE(looked.ok() || looked.code() == Code::kNotReady) << looked.ToString();
      EXPECT_EQ(objects_->objects.size(), before) << "looking makes nothing";
      const Result<std::unique_ptr<Repository>> again = OpenWith({key_}, true);
      ASSERT_TRUE(again.ok()) << again.status().ToString();
      EXPECT_TRUE((*again)->is_encrypted());
    }
  }
}

TEST_F(EncryptedRepositoryTest, TwoThatMakeItAtOnceGetTheSameKey) {
  for (int round = 0; round < 300; round++) {
    objects_ = std::make_shared<MemoryObjects>();
    std::unique_ptr<Repository> made[2];
    std::thread threads[2];
    for (int i = 0; i < 2; i++) {
      threads[i] = std::thread([&, i] {
        Result<std::unique_ptr<Repository>> repository = OpenWith({key_}, true);
        EXPECT_TRUE(repository.ok()) << repository.status().ToString();
        made[i] = repository.ok() ? *std::move(repository) : nullptr;
      });
    }
    threads[0].join();
    threads[1].join();
    ASSERT_TRUE(made[0] != nullptr && made[1] != nullptr);
    ASSERT_TRUE(made[0]->store()->Put("x", AsBytes("one")).ok());
    EXPECT_EQ(AsText(*made[1]->store()->Get("x", 10)), "one");
  }
}

TEST_F(EncryptedRepositoryTest, ChangesItsKeyUnderReadersAndWriters) {
  const std::unique_ptr<Repository> running = *OpenWith({key_}, true);
  ASSERT_TRUE(running->store()->Put("before", AsBytes("1")).ok());
  const Bytes stored = objects_->objects.at("before");
  const std::unique_ptr<Repository> changing = *OpenWith({other_, key_}, false);
  EXPECT_EQ(changing->key_id(), key_.Id());
  const Result<Rewrapped> rewrapped = changing->Rewrap(KeyRing({other_, key_}));
  ASSERT_TRUE(rewrapped.ok()) << rewrapped.status().ToString();
  EXPECT_EQ(rewrapped->objects, 1U);
  EXPECT_EQ(rewrapped->key_id, other_.Id());
  EXPECT_EQ(changing->key_id(), other_.Id());
  EXPECT_EQ(objects_->objects.at("before"), stored) << "no data was rewritten";
  // Who has it open goes on.
  EXPECT_EQ(AsText(*running->store()->Get("before", 10)), "1");
  ASSERT_TRUE(running->store()->Put("after", AsBytes("2")).ok());
  EXPECT_EQ(OpenWith({key_}, false).status().code(), Code::kKeyMissing);
  const std::unique_ptr<Repository> later = *OpenWith({other_}, false);
  EXPECT_EQ(AsText(*later->store()->Get("before", 10)), "1");
  EXPECT_EQ(AsText(*later->store()->Get("after", 10)), "2");
}

TEST_F(EncryptedRepositoryTest, OpensByAddressWithAKeyFile) {
  const TempDir directory, keys;
  const std::string file = keys / "key";
  ASSERT_TRUE(WriteFileDurably(file, AsBytes(ToHex(key_.bytes()) + "\n")).ok());
  ASSERT_TRUE(Repository::OpenAddress({directory.path(), {file, ""}}, true).ok());
  EXPECT_EQ(Repository::OpenAddress({directory.path()}, false).status().code(), Code::kKeyMissing);
  const Result<std::unique_ptr<Repository>> by_command =
      Repository::OpenAddress({directory.path(), {"", "cat " + file}}, false);
  ASSERT_TRUE(by_command.ok()) << by_command.status().ToString();
  EXPECT_EQ((*by_command)->key_id(), key_.Id());
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
