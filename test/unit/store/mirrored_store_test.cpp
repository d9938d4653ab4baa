#include "core/store/mirrored_store.h"

#include <gtest/gtest.h>

#include "core/store/open_mirror.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

// A store over objects that stay, which can be away, or claim to hold nothing.
class Place {
 public:
  explicit Place(std::string name, bool is_required = true)
      : address_{name, name, name, is_required} {}

  MemoryStore store() const { return MemoryStore(objects_); }
  std::unique_ptr<MirrorMember> Member(MemberLedger* ledger) {
    return std::make_unique<MirrorMember>(
        address_,
        [this]() -> Result<MirrorMember::Opened> {
          opened++;
          if (is_away) return Status(Code::kUnavailable, address_.label + " is away");
          return MirrorMember::Opened{std::make_shared<AwayStore>(this), takes_part};
        },
        ledger);
  }
  bool Has(const std::string& name) const { return objects_->objects.contains(name); }

  bool is_away = false, takes_part = true;
  int opened = 0, lists = 0, reads = 0;

 private:
  // Fails in the middle of its life as well.
  class AwayStore final : public ObjectStore {
   public:
    explicit AwayStore(Place* place) : place_(place), inner_(place->objects_) {}
    Status Put(const std::string& name, ByteView bytes) override {
      return place_->is_away ? Away() : inner_.Put(name, bytes);
    }
    Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) override {
      if (place_->is_away) return Away();
      return inner_.Create(name);
    }
    Result<Bytes> Get(const std::string& name, std::uint64_t max_size) override {
      place_->reads++;
      if (place_->is_away) return Away();
      return inner_.Get(name, max_size);
    }
    Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                           std::uint64_t size) override {
      if (place_->is_away) return Away();
      return inner_.GetRange(name, offset, size);
    }
    Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) override {
      if (place_->is_away) return Away();
      return inner_.GetSuffix(name, size);
    }
    Result<ObjectStat> Stat(const std::string& name) override {
      if (place_->is_away) return Away();
      return inner_.Stat(name);
    }
    Result<std::vector<ObjectStat>> List(const std::string& prefix, const std::string& after,
                                         std::size_t limit) override {
      place_->lists++;
      if (place_->is_away) return Away();
      return inner_.List(prefix, after, limit);
    }
    Result<std::vector<std::string>> ListParts(const std::string& prefix) override {
      if (place_->is_away) return Away();
      return inner_.ListParts(prefix);
    }
    Status Remove(const std::string& name) override {
      return place_->is_away ? Away() : inner_.Remove(name);
    }
    Status CollectAbandoned(std::int64_t) override { return Status::Ok(); }
    std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
    std::string Describe() const override { return place_->address_.label; }

   private:
    Status Away() const { return Status(Code::kUnavailable, place_->address_.label + " is away"); }
    Place* place_;
    MemoryStore inner_;
  };

  const StoreAddress address_;
  const std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
};

class MirroredStoreTest : public testing::Test {
 protected:
  std::unique_ptr<MirroredStore> Open(std::vector<Place*> places) {
    std::vector<std::unique_ptr<MirrorMember>> members;
    for (Place* place : places) {
      members.push_back(place->Member(&ledger_));
    }
    return std::make_unique<MirroredStore>(
        std::move(members),
        MirroredStore::Options{[](const std::string& name) { return name.starts_with("tail/"); }});
  }
  std::unique_ptr<MirroredStore> Open() { return Open({&near_, &far_}); }

  Place near_{"/near"}, far_{"/far", false};
  ProcessLedger ledger_;
};

TEST_F(MirroredStoreTest, WritesToAll) {
  ASSERT_TRUE(Open()->Put("a", AsBytes("x")).ok());
  EXPECT_TRUE(near_.Has("a"));
  EXPECT_TRUE(far_.Has("a"));
}

TEST_F(MirroredStoreTest, ABestEffortOneThatIsAwayIsNotedAndLeftAlone) {
  far_.is_away = true;
  const auto store = Open();
  for (const std::string name : {"a", "b", "c"}) {
    EXPECT_TRUE(store->Put(name, AsBytes("x")).ok());
  }
  EXPECT_EQ(far_.opened, 1);
  EXPECT_EQ(ledger_.missed("/far"), 3);
  EXPECT_TRUE(ledger_.IsBehind("/far", false));
}

TEST_F(MirroredStoreTest, ABestEffortOneThatFailsInTheMiddleFailsNothing) {
  const auto store = Open();
  Result<std::unique_ptr<ObjectWriter>> writer = store->Create("a");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(AsBytes("x")).ok());
  far_.is_away = true;
  EXPECT_TRUE(store->Remove("b").ok());
  EXPECT_TRUE((*writer)->Commit().ok());
  EXPECT_EQ(ledger_.missed("/far"), 1);  // the removal; the commit got through to memory
}

TEST_F(MirroredStoreTest, ARequiredOneThatIsAwayFailsTheWrite) {
  Place second("/second");
  second.is_away = true;
  const auto store = Open({&near_, &second});
  EXPECT_EQ(store->Put("a", AsBytes("x")).code(), Code::kUnavailable);
  EXPECT_EQ(store->Remove("a").code(), Code::kUnavailable);
  second.is_away = false;
  EXPECT_TRUE(store->Put("a", AsBytes("x")).ok());
  EXPECT_TRUE(second.Has("a"));
}

// Whoever wrote it died between the two.
TEST_F(MirroredStoreTest, ATakenNameIsRepairedInTheOtherRequiredOnes) {
  Place second("/second");
  ASSERT_TRUE(near_.store().Put("a", AsBytes("x")).ok());
  const auto store = Open({&near_, &second});
  EXPECT_EQ(store->Put("a", AsBytes("x")).code(), Code::kAlreadyExists);
  EXPECT_TRUE(second.Has("a"));
}

TEST_F(MirroredStoreTest, OtherContentInAnotherOneIsRefusedNamingBoth) {
  Place second("/second");
  ASSERT_TRUE(second.store().Put("a", AsBytes("y")).ok());
  const Status status = Open({&near_, &second})->Put("a", AsBytes("x"));
  EXPECT_EQ(status.code(), Code::kForeign);
  EXPECT_EQ(*second.store().Get("a", 9), Bytes{'y'});
}

TEST_F(MirroredStoreTest, TheSameContentInAnotherOneIsSuccess) {
  Place second("/second");
  ASSERT_TRUE(second.store().Put("a", AsBytes("x")).ok());
  EXPECT_TRUE(Open({&near_, &second})->Put("a", AsBytes("x")).ok());
}

TEST_F(MirroredStoreTest, ALeftoverThatMayBeReplacedIs) {
  Place second("/second");
  ASSERT_TRUE(second.store().Put("tail/a", AsBytes("old")).ok());
  ASSERT_TRUE(Open({&near_, &second})->Put("tail/a", AsBytes("new")).ok());
  EXPECT_EQ(*second.store().Get("tail/a", 9), Bytes({'n', 'e', 'w'}));
}

// Two judges would give one name to two writers.
TEST_F(MirroredStoreTest, TheOrderOfTheListDoesNotChangeWhoDecides) {
  Place second("/second");
  ASSERT_TRUE(near_.store().Put("a", AsBytes("x")).ok());
  EXPECT_EQ(Open({&second, &near_})->Put("a", AsBytes("x")).code(), Code::kAlreadyExists);
  EXPECT_EQ(Open({&near_, &second})->Put("a", AsBytes("x")).code(), Code::kAlreadyExists);
}

TEST_F(MirroredStoreTest, TheNearestIsReadAndTheNextWhenItFailsOrHasNone) {
  const auto store = Open();
  ASSERT_TRUE(store->Put("both", AsBytes("x")).ok());
  ASSERT_TRUE(far_.store().Put("far", AsBytes("y")).ok());
  EXPECT_TRUE(store->Get("both", 9).ok());
  EXPECT_EQ(far_.reads, 0);
  EXPECT_TRUE(store->Get("far", 9).ok());
  EXPECT_EQ(far_.reads, 1);
  near_.is_away = true;
  EXPECT_TRUE(store->Get("both", 9).ok());
  EXPECT_TRUE(store->Get("both", 9).ok());
  EXPECT_EQ(near_.reads, 3);  // once it failed, and was left alone then
}

TEST_F(MirroredStoreTest, AbsentIsWhatARequiredOneSays) {
  const auto store = Open();
  EXPECT_EQ(store->Stat("a").status().code(), Code::kNotFound);
  far_.is_away = true;
  EXPECT_EQ(store->Stat("a").status().code(), Code::kNotFound);
  far_.is_away = false;
  near_.is_away = true;
  EXPECT_EQ(Open()->Stat("a").status().code(), Code::kUnavailable);
}

TEST_F(MirroredStoreTest, ARequiredOneThatIsBehindProvesNoAbsence) {
  Place second("/second");
  const auto store = Open({&near_, &second});
  ledger_.Missed("/near", "a", 1);
  second.is_away = true;
  EXPECT_EQ(store->Stat("a").status().code(), Code::kUnavailable);
}

TEST_F(MirroredStoreTest, ListingsComeFromARequiredOne) {
  ASSERT_TRUE(near_.store().Put("a", {}).ok());
  ASSERT_TRUE(near_.store().Put("b", {}).ok());
  ASSERT_TRUE(far_.store().Put("a", {}).ok());
  const auto store = Open({&far_, &near_});
  EXPECT_EQ(store->List("", "", 0)->size(), 2U);
  EXPECT_EQ(far_.lists, 0);
  near_.is_away = true;
  EXPECT_EQ(store->List("", "", 0).status().code(), Code::kUnavailable);
}

TEST_F(MirroredStoreTest, ListingsOfIncompleteOnesAreJoined) {
  Place second("/second");
  ASSERT_TRUE(near_.store().Put("a", {}).ok());
  ASSERT_TRUE(near_.store().Put("b/x", {}).ok());
  ASSERT_TRUE(second.store().Put("a", {}).ok());
  ASSERT_TRUE(second.store().Put("c", {}).ok());
  ledger_.Missed("/near", "c", 1);
  ledger_.Missed("/second", "b/x", 1);
  const auto store = Open({&near_, &second});
  std::vector<std::string> names;
  const Result<std::vector<ObjectStat>> found = store->List("", "", 0);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  for (const ObjectStat& object : *found) {
    names.push_back(object.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b/x", "c"}));
  EXPECT_EQ(*store->ListParts(""), (std::vector<std::string>{"a", "b/", "c"}));
  EXPECT_EQ(store->List("", "a", 1)->size(), 1U);
}

TEST_F(MirroredStoreTest, OneThatIsBeingFilledTakesNoPart) {
  Place second("/second");
  second.takes_part = false;
  ASSERT_TRUE(second.store().Put("only", {}).ok());
  const auto store = Open({&second, &near_});
  EXPECT_EQ(store->Stat("only").status().code(), Code::kNotFound);
  EXPECT_TRUE(Open({&near_, &second})->Remove("x").ok());
}

TEST_F(MirroredStoreTest, WhatIsDistrustedIsReadFromAnotherOne) {
  const auto store = Open();
  ASSERT_TRUE(near_.store().Put("a", AsBytes("bad")).ok());
  ASSERT_TRUE(far_.store().Put("a", AsBytes("good")).ok());
  EXPECT_FALSE(store->Distrust("a"));  // nobody has read it
  EXPECT_EQ(store->Get("a", 9)->size(), 3U);
  EXPECT_TRUE(store->Distrust("a"));
  EXPECT_EQ(ledger_.damaged("/near"), 1);
  EXPECT_EQ(store->Get("a", 9)->size(), 4U);
  EXPECT_FALSE(store->Distrust("a"));  // there is no third
  EXPECT_TRUE(store->Get("a", 9).ok());
}

TEST(OpenMirror, OpensFoldersWhenTheyAreNeeded) {
  const TempDir first, second;
  const auto entries = *ParseStoreAddresses(first.path() + "," + second.path());
  ProcessLedger ledger;
  const auto store = OpenMirror(
      entries, [](ObjectStore*, const StoreAddress&) { return Result<bool>(true); },
      {[](const std::string&) { return false; }}, &ledger);
  ASSERT_TRUE(store->Put("a", AsBytes("x")).ok());
  EXPECT_TRUE(PathExists(first / "a") && PathExists(second / "a"));
  EXPECT_NE(store->Describe().find(second.path()), std::string::npos);
}

}  // namespace

}  // namespace pitr
