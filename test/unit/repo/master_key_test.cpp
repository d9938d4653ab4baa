// Making, opening and changing the key of a repository: wrong keys are told from damage, and whatever a kill leaves behind is opened by one
// of the keys that were at hand.
#include "core/repo/master_key.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/hash.h"
#include "core/repo/layout.h"
#include "unit/support/fault_store.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

const std::string kRepository = "5a1f0c3be2d94f7c8a6be01d27c3f590";

class MasterKeyTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(CreateMasterKey(&store_, kRepository, Ring({old_})).ok()); }

  static KeyRing Ring(std::vector<SecretKey> keys) { return KeyRing(std::move(keys)); }
  Result<OpenedMasterKey> Open(const SecretKey& key) {
    return OpenMasterKey(&store_, kRepository, Ring({key}));
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : objects_->objects) {
      names.push_back(name);
    }
    return names;
  }
  using Strings = std::vector<std::string>;

  const SecretKey old_ = *SecretKey::Random(), new_ = *SecretKey::Random(),
                  other_ = *SecretKey::Random();
  std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
  MemoryStore store_{objects_};
};

TEST_F(MasterKeyTest, IsOpenedByTheKeyThatWrappedIt) {
  const Result<OpenedMasterKey> opened = Open(old_);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ(opened->wrapped_by, old_.Id());
  EXPECT_EQ(opened->number, 1U);
  const auto among = OpenMasterKey(&store_, kRepository, Ring({new_, other_, old_}));
  ASSERT_TRUE(among.ok());
  EXPECT_EQ(among->key.bytes(), opened->key.bytes());
  // Neither key is there to be read.
  const Bytes& object = objects_->objects.at(layout::KeyObject(1));
  for (const std::string& key : {ToHex(old_.bytes()), ToHex(opened->key.bytes())}) {
    EXPECT_EQ(AsText(object).find(key), std::string_view::npos);
  }
  EXPECT_NE(AsText(object).find(old_.Id()), std::string_view::npos);
  EXPECT_EQ(NeededKeyId(&store_), old_.Id());
}

TEST_F(MasterKeyTest, IsMadeOnce) {
  EXPECT_EQ(CreateMasterKey(&store_, kRepository, Ring({new_})).code(), Code::kAlreadyExists);
  EXPECT_TRUE(Open(old_).ok());
  MemoryStore empty;
  EXPECT_EQ(OpenMasterKey(&empty, kRepository, Ring({old_})).status().code(), Code::kNotFound);
  EXPECT_EQ(NeededKeyId(&empty), "unknown");
}

TEST_F(MasterKeyTest, AWrongKeyIsToldByTheIdsOfBothSides) {
  const Status status = OpenMasterKey(&store_, kRepository, Ring({new_, other_})).status();
  EXPECT_EQ(status.code(), Code::kKeyMissing);
  for (const SecretKey* key : {&old_, &new_, &other_}) {
    EXPECT_NE(status.detail().find(key->Id()), std::string::npos) << status.ToString();
    EXPECT_EQ(status.ToString().find(ToHex(key->bytes())), std::string::npos);
  }
  EXPECT_FALSE(status.hint().empty());
}

TEST_F(MasterKeyTest, DamageIsNoWrongKey) {
  const std::string name = layout::KeyObject(1);
  const Bytes right = objects_->objects.at(name);
  for (std::size_t at = 0; at < right.size(); at++) {
    objects_->objects[name] = right;
    objects_->objects[name][at] ^= 4;
    const Status status = Open(old_).status();
    EXPECT_TRUE(status.code() == Code::kCorrupt || status.code() == Code::kUnsupported)
        << at << ": " << status.ToString();
  }
}

TEST_F(MasterKeyTest, BelongsToItsRepository) {
  EXPECT_EQ(OpenMasterKey(&store_, "another", Ring({old_})).status().code(), Code::kCorrupt);
}

TEST_F(MasterKeyTest, RewrappedTheOldKeyOpensNothingAndTheNewOneTheSame) {
  const SecretKey master = Open(old_)->key;
  const Result<Rewrapped> rewrapped = RewrapMasterKey(&store_, kRepository, Ring({new_, old_}));
  ASSERT_TRUE(rewrapped.ok()) << rewrapped.status().ToString();
  EXPECT_EQ(rewrapped->objects, 1U);
  EXPECT_EQ(rewrapped->key_id, new_.Id());
  EXPECT_EQ(Names(), Strings{layout::KeyObject(2)});
  EXPECT_EQ(Open(new_)->key.bytes(), master.bytes());
  EXPECT_EQ(Open(old_).status().code(), Code::kKeyMissing);
  // Again there is nothing to do, and without the key nothing is done.
  EXPECT_EQ(RewrapMasterKey(&store_, kRepository, Ring({new_}))->objects, 0U);
  EXPECT_EQ(RewrapMasterKey(&store_, kRepository, Ring({old_})).status().code(), Code::kKeyMissing);
  EXPECT_EQ(Names(), Strings{layout::KeyObject(2)});
  // And back.
  EXPECT_EQ(RewrapMasterKey(&store_, kRepository, Ring({old_, new_}))->objects, 1U);
  EXPECT_EQ(Open(old_)->key.bytes(), master.bytes());
  EXPECT_EQ(Names(), Strings{layout::KeyObject(3)});
}

// Crash sweep: after every operation of the store a kill, before or after it took effect.
TEST_F(MasterKeyTest, KilledInTheMiddleOneOfTheTwoKeysOpens) {
  const std::map<std::string, Bytes> start = objects_->objects;
  const SecretKey master = Open(old_)->key;
  for (const auto way : {FaultStore::kDieBefore, FaultStore::kDieAfter}) {
    bool is_done = false;
    for (int at = 0; !is_done; at++) {
      ASSERT_LT(at, 100);
      objects_->objects = start;
      FaultStore dying(&store_, {way, at});
      is_done = RewrapMasterKey(&dying, kRepository, Ring({new_, old_})).ok();
      const Result<OpenedMasterKey> either =
          OpenMasterKey(&store_, kRepository, Ring({new_, old_}));
      ASSERT_TRUE(either.ok()) << at << ": " << either.status().ToString();
      EXPECT_EQ(either->key.bytes(), master.bytes());
      // By the one alone or the other alone, at any rate.
      EXPECT_TRUE(Open(old_).ok() || Open(new_).ok()) << at;
      const Result<Rewrapped> again = RewrapMasterKey(&store_, kRepository, Ring({new_, old_}));
      ASSERT_TRUE(again.ok()) << again.status().ToString();
      EXPECT_EQ(Names().size(), 1U);
      EXPECT_EQ(Open(new_)->key.bytes(), master.bytes());
      EXPECT_EQ(Open(old_).status().code(), Code::kKeyMissing);
    }
  }
}

// Somebody else was faster with a key that we do not have: not ours to take back.
TEST_F(MasterKeyTest, TheNewestKeyObjectCounts) {
  const Bytes first = objects_->objects.at(layout::KeyObject(1));
  ASSERT_TRUE(RewrapMasterKey(&store_, kRepository, Ring({other_, old_})).ok());
  objects_->objects[layout::KeyObject(1)] = first;  // its removal was cut short
  EXPECT_TRUE(Open(old_).ok());
  EXPECT_EQ(RewrapMasterKey(&store_, kRepository, Ring({new_, old_})).status().code(),
            Code::kKeyMissing);
  EXPECT_EQ(Names().size(), 2U);
  EXPECT_EQ(RewrapMasterKey(&store_, kRepository, Ring({new_, other_}))->objects, 1U);
  EXPECT_EQ(Names(), Strings{layout::KeyObject(3)});
}

TEST_F(MasterKeyTest, ADamagedNewestObjectIsReplaced) {
  const Bytes first = objects_->objects.at(layout::KeyObject(1));
  ASSERT_TRUE(RewrapMasterKey(&store_, kRepository, Ring({new_, old_})).ok());
  objects_->objects[layout::KeyObject(2)][100] ^= 1;
  EXPECT_EQ(Open(new_).status().code(), Code::kCorrupt);
  objects_->objects[layout::KeyObject(1)] = first;  // brought back from a copy
  EXPECT_TRUE(Open(old_).ok());
  ASSERT_TRUE(RewrapMasterKey(&store_, kRepository, Ring({new_, old_})).ok());
  EXPECT_EQ(Names(), Strings{layout::KeyObject(3)});
  EXPECT_TRUE(Open(new_).ok());
}

TEST_F(MasterKeyTest, ManyAtOnceEndWithOneKey) {
  const SecretKey master = Open(old_)->key;
  std::atomic<int> failures = 0, readers_failed = 0;
  std::atomic<bool> is_over = false;
  std::thread reader([&] {
    while (!is_over) {
      readers_failed +=
          OpenMasterKey(&store_, kRepository, Ring({new_, other_, old_})).ok() ? 0 : 1;
    }
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      const KeyRing keys = i % 2 == 0 ? Ring({new_, other_, old_}) : Ring({other_, new_, old_});
      for (int round = 0; round < 25; round++) {
        const Status status = RewrapMasterKey(&store_, kRepository, keys).status();
        failures += status.ok() || status.code() == Code::kInUse ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  is_over = true;
  reader.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(readers_failed, 0);
  ASSERT_TRUE(RewrapMasterKey(&store_, kRepository, Ring({new_, other_})).ok());
  EXPECT_EQ(Names().size(), 1U);
  EXPECT_EQ(Open(new_)->key.bytes(), master.bytes());
}

}  // namespace
}  // namespace pitr
