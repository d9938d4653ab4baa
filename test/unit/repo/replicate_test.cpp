#include "core/repo/replicate.h"

#include <gtest/gtest.h>

#include "core/repo/layout.h"
#include "core/repo/replica_set.h"
#include "unit/support/fault_store.h"
#include "unit/support/memory_store.h"

namespace pitr {

namespace {

const std::string kWal = "branches/br-00000000000000000000000000000001/wal/00000001/";
const std::string kTail = "branches/br-00000000000000000000000000000001/tail/00000001/";

std::string Description(const std::string& id) {
  return "{\"format\":\"pitr_ext repository\",\"version\":1,\"id\":\"" + id +
         "\",\"cipher\":\"none\"}";
}

class ReplicateTest : public testing::Test {
 protected:
  ReplicateTest() {
    Put(&hub_, "repository.json", Description("aa"));
    Put(&hub_, kWal + "000000010000000000000001", "one");
    Put(&hub_, kWal + "000000010000000000000002", "two");
    Put(&hub_, kTail + "000000010000000000000003.00000000-00000100", "tail");
    Put(&hub_, "packs/sn-20261120T100000-1/000001", "pack");
    Put(&hub_, "snapshots/sn-20261120T100000-1/manifest", "manifest");
    Put(&hub_, "catalog/branches/00000000000000000001", "branches");
  }

  static void Put(MemoryStore* store, const std::string& name, const std::string& text) {
    ASSERT_TRUE(store->Put(name, AsBytes(text)).ok());
  }

  static Replica Of(const std::string& place, bool is_required,
                    std::unique_ptr<ObjectStore> store) {
    return {{place, place, place, is_required}, std::move(store), Status::Ok()};
  }

  Result<std::vector<ReplicaState>> Run(const FaultStore::Plan& hub_plan = {},
                                        const FaultStore::Plan& other_plan = {}) {
    MemoryStore hub(hub_.shared()), other(other_.shared());
    auto sick_hub = std::make_unique<FaultStore>(&hub, hub_plan);
    auto sick_other = std::make_unique<FaultStore>(&other, other_plan);
    FaultStore *first = sick_hub.get(), *second = sick_other.get();
    std::vector<Replica> replicas;
    replicas.push_back(Of("/other", false, std::move(sick_other)));
    replicas.push_back(Of("/hub", true, std::move(sick_hub)));
    ReplicateOptions options;
    options.now = *ParseRfc3339("2026-11-20T12:00:00Z");
    options.deleted =
        [this](const StoreAddress&) -> Result<std::function<bool(const std::string&)>> {
      return std::function<bool(const std::string&)>(
          [this](const std::string& id) { return id == deleted_; });
    };
    options.named = [this](const StoreAddress&) -> Result<std::function<bool(const std::string&)>> {
      return std::function<bool(const std::string&)>(
          [this](const std::string& pack) { return pack == named_; });
    };
    options.wal_removed =
        [this](const StoreAddress&) -> Result<std::function<bool(const std::string&)>> {
      return std::function<bool(const std::string&)>(
          [this](const std::string& name) { return name == wal_removed_; });
    };
    Result<std::vector<ReplicaState>> states = Replicate(&replicas, options);
    hub_operations_ = first->operations();
    other_operations_ = second->operations();
    return states;
  }

  void RunWell() {
    const auto states = Run();
    ASSERT_TRUE(states.ok()) << states.status().ToString();
    for (const ReplicaState& state : *states) {
      EXPECT_TRUE(state.problem.ok()) << state.problem.ToString();
      EXPECT_EQ(state.behind_bytes, 0U);
    }
  }

  void ExpectSame() { EXPECT_EQ(hub_.shared()->objects, other_.shared()->objects); }

  MemoryStore hub_, other_;
  std::string deleted_, named_, wal_removed_;
  int hub_operations_ = 0, other_operations_ = 0;
};

TEST_F(ReplicateTest, AnEmptyOneIsFilled) {
  RunWell();
  ExpectSame();
  const auto again = Run();
  EXPECT_EQ((*again)[0].copied_objects, 0U);
}

TEST_F(ReplicateTest, WhatIsMissingOnEitherSideComesToBoth) {
  RunWell();
  Put(&hub_, kWal + "000000010000000000000003", "three");
  Put(&other_, kWal + "000000010000000000000004", "four");
  RunWell();
  ExpectSame();
  EXPECT_TRUE(hub_.Stat(kWal + "000000010000000000000004").ok());
  EXPECT_FALSE(other_.Stat(kTail + "000000010000000000000003.00000000-00000100").ok() &&
               !hub_.Stat(kTail + "000000010000000000000003.00000000-00000100").ok());
}

// Retention removed it while this one was away: it is not brought back.
TEST_F(ReplicateTest, WhatRetentionRemovedGoesFromBoth) {
  RunWell();
  wal_removed_ = kWal + "000000010000000000000001";
  ASSERT_TRUE(hub_.Remove(wal_removed_).ok());
  RunWell();
  ExpectSame();
  EXPECT_FALSE(other_.Stat(wal_removed_).ok());
}

// Somebody removed a damaged object by hand: it must come back, and not be taken from the other one too.
TEST_F(ReplicateTest, ALossAtTheHubIsMadeGood) {
  RunWell();
  ASSERT_TRUE(hub_.Remove(kWal + "000000010000000000000001").ok());
  ASSERT_TRUE(hub_.Remove("snapshots/sn-20261120T100000-1/manifest").ok());
  RunWell();
  ExpectSame();
  EXPECT_TRUE(hub_.Stat(kWal + "000000010000000000000001").ok());
  EXPECT_TRUE(hub_.Stat("snapshots/sn-20261120T100000-1/manifest").ok());
}

TEST_F(ReplicateTest, ADeletedSnapshotGoesFromTheOneThatWasAway) {
  RunWell();
  ASSERT_TRUE(hub_.Remove("snapshots/sn-20261120T100000-1/manifest").ok());
  ASSERT_TRUE(hub_.Remove("packs/sn-20261120T100000-1/000001").ok());
  deleted_ = "sn-20261120T100000-1";
  RunWell();
  ExpectSame();
  EXPECT_FALSE(other_.Stat("packs/sn-20261120T100000-1/000001").ok());
}

TEST_F(ReplicateTest, HistoriesThatWentApartAreLeftAsTheyAre) {
  RunWell();
  Put(&hub_, "catalog/branches/00000000000000000002", "ours....");
  Put(&other_, "catalog/branches/00000000000000000002", "theirs..");
  Put(&other_, kWal + "000000010000000000000007", "theirs");
  Put(&hub_, kWal + "000000010000000000000006", "ours");
  const auto hub_before = hub_.shared()->objects, other_before = other_.shared()->objects;
  const auto states = Run();
  ASSERT_TRUE(states.ok());
  EXPECT_EQ((*states)[0].problem.code(), Code::kForeign);
  EXPECT_NE((*states)[0].problem.message().find("00000000000000000002"), std::string::npos);
  EXPECT_EQ(hub_.shared()->objects, hub_before);
  EXPECT_EQ(other_.shared()->objects, other_before);
}

TEST_F(ReplicateTest, AnotherSizeUnderOneNameIsAConflictToo) {
  RunWell();
  Put(&hub_, kWal + "000000010000000000000008", "eight");
  Put(&other_, kWal + "000000010000000000000008", "acht");
  EXPECT_EQ((*Run())[0].problem.code(), Code::kForeign);
}

TEST_F(ReplicateTest, TwoRepositoriesAreNotReplicas) {
  Put(&other_, "repository.json", Description("bb"));
  const auto states = Run();
  EXPECT_EQ((*states)[0].problem.code(), Code::kForeign);
  EXPECT_EQ(other_.shared()->objects.size(), 1U);
}

TEST_F(ReplicateTest, AForeignFolderIsLeftAlone) {
  Put(&other_, "holiday/photo.jpg", "x");
  const auto states = Run();
  EXPECT_EQ((*states)[0].problem.code(), Code::kForeign);
  EXPECT_EQ(other_.shared()->objects.size(), 1U);
}

TEST_F(ReplicateTest, OneThatIsAwayHoldsUpNobody) {
  MemoryStore third;
  std::vector<Replica> replicas;
  replicas.push_back(Of("/hub", true, std::make_unique<MemoryStore>(hub_.shared())));
  replicas.push_back({{"/away", "/away", "/away", false}, nullptr, Status(Code::kIo, "gone")});
  replicas.push_back(Of("/third", false, std::make_unique<MemoryStore>(third.shared())));
  const auto states = Replicate(&replicas, {});
  ASSERT_TRUE(states.ok()) << states.status().ToString();
  EXPECT_EQ((*states)[1].problem.code(), Code::kIo);
  EXPECT_TRUE((*states)[2].problem.ok());
  EXPECT_EQ(third.shared()->objects, hub_.shared()->objects);
}

TEST_F(ReplicateTest, WithoutARepositoryThereIsNothingToDo) {
  std::vector<Replica> replicas;
  replicas.push_back(Of("/a", true, std::make_unique<MemoryStore>()));
  replicas.push_back(Of("/b", false, std::make_unique<MemoryStore>()));
  EXPECT_EQ(Replicate(&replicas, {}).status().code(), Code::kNotReady);
}

// A half filled one is no repository, and the next run completes it.
TEST_F(ReplicateTest, DyingAtAnyStepOfFillingLeavesNoHalfRepository) {
  ASSERT_TRUE(Run().ok());
  const int hub_steps = hub_operations_, other_steps = other_operations_;
  ASSERT_GT(other_steps, 10);
  for (const bool dies_at_hub : {true, false}) {
    for (const FaultStore::Way way : {FaultStore::kDieBefore, FaultStore::kDieAfter}) {
      for (int at = 0; at < (dies_at_hub ? hub_steps : other_steps); at++) {
        other_.shared()->objects.clear();
        const FaultStore::Plan plan = {way, at};
        const auto ignored = dies_at_hub ? Run(plan) : Run({}, plan);
        static_cast<void>(ignored.ok());
        MemoryStore left(other_.shared());
        const Result<ReplicaLook> look = LookAtReplica(&left);
        ASSERT_TRUE(look.ok()) << at << ": " << look.status().ToString();
        if (look->kind == ReplicaKind::kRepository) {
          for (const auto& [name, bytes] : hub_.shared()->objects) {
            EXPECT_TRUE(other_.shared()->objects.contains(name)) << name << " at " << at;
          }
        }
        RunWell();
        ExpectSame();
      }
    }
  }
}

}  // namespace

}  // namespace pitr
