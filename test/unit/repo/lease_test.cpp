#include "core/repo/lease.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/lease_object.h"
#include "unit/support/fault_store.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

const BranchId kBranch = "br-quiet-river-0a1b2c3d";

Lease Sample(TimelineId timeline, bool is_released) {
  Lease lease;
  lease.token = {7, "00ff"};
  lease.holder = {"db1", "/data", 7312345678901234567, timeline, 42};
  lease.since = {1'700'000'000'000'000};
  lease.renewed_at = {1'700'000'100'000'000};
  lease.timeout_seconds = 60;
  lease.is_released = is_released;
  return lease;
}

// Servers on one repository, each with a data directory of its own.
class LeaseTest : public ::testing::Test {
 protected:
  std::unique_ptr<Repository> Open() {
    Result<std::unique_ptr<Repository>> repo =
        Repository::Open(std::make_unique<MemoryStore>(objects_), true);
    EXPECT_TRUE(repo.ok()) << repo.status().ToString();
    return *std::move(repo);
  }
  LeaseTaker Taker(const std::string& name) const {
    LeaseTaker taker;
    taker.branch = kBranch;
    taker.data_directory = dir_ / name;
    taker.self = {name, taker.data_directory, 1, 1, 1};
    EXPECT_TRUE(MakeDirectories(taker.data_directory).ok());
    return taker;
  }
  LeaseSight Look(const LeaseTaker& taker) {
    const Result<LeaseSight> sight = LookAtLease(Open().get(), taker);
    EXPECT_TRUE(sight.ok()) << sight.status().ToString();
    return sight.ok() ? *sight : LeaseSight();
  }
  Result<Lease> Take(const LeaseTaker& taker, const std::optional<Lease>& newest, bool is_mine,
                     bool release = false) {
    return TakeLease(Open().get(), taker, newest, {.is_mine = is_mine, .release = release});
  }
  // Copies what proves the lease, as a copy of the data directory has it.
  void Copy(const LeaseTaker& from, const LeaseTaker& to) {
    const Result<std::string> text = ReadTextFile(LeaseProofPath(from.data_directory), 65536);
    ASSERT_TRUE(text.ok());
    ASSERT_TRUE(MakeDirectories(to.data_directory + "/pitr").ok());
    ASSERT_TRUE(WriteFileDurably(LeaseProofPath(to.data_directory), AsBytes(*text)).ok());
  }

  const TempDir dir_;
  std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
};

TEST(LeaseDecision, WhoMayTakeWhat) {
  struct Case {
    const char* what;
    bool has_lease, released, mine, same_place;
    TimelineId of;  // the lease's
    TimelineId timeline;
    std::vector<TimelineId> ancestors;
    LeaseMove move;
  };
  const Case cases[] = {
      {"first of all", false, false, false, false, 1, 1, {}, LeaseMove::kTake},
      {"crashed and started again", true, false, true, true, 1, 1, {}, LeaseMove::kRenew},
      {"stopped and started again", true, true, true, true, 1, 1, {}, LeaseMove::kRenew},
      {"mine after a switch", true, false, true, true, 1, 2, {1}, LeaseMove::kRenew},
      {"stopped and moved", true, true, true, false, 1, 1, {}, LeaseMove::kRenew},
      {"moved without a stop, or cloned", true, false, true, false, 1, 1, {}, LeaseMove::kWatch},
      {"released, same timeline", true, true, false, false, 1, 1, {}, LeaseMove::kTake},
      {"released, promoted", true, true, false, false, 1, 2, {1}, LeaseMove::kTake},
      {"released by another branch of history",
       true,
       true,
       false,
       false,
       2,
       3,
       {1},
       LeaseMove::kRefuse},
      {"released by who went on, old primary back",
       true,
       true,
       false,
       false,
       2,
       1,
       {},
       LeaseMove::kRefuse},
      {"copy", true, false, false, false, 1, 1, {}, LeaseMove::kRefuse},
      {"old primary back", true, false, false, false, 2, 1, {}, LeaseMove::kRefuse},
      {"promoted standby", true, false, false, false, 1, 2, {1}, LeaseMove::kWatch},
      {"promoted twice", true, false, false, false, 1, 3, {1, 2}, LeaseMove::kWatch},
      {"promoted beside another", true, false, false, false, 2, 3, {1}, LeaseMove::kRefuse},
      {"history that names itself", true, false, false, false, 2, 2, {1, 2}, LeaseMove::kRefuse},
      {"history unknown", true, false, false, false, 1, 2, {}, LeaseMove::kRefuse},
  };
  for (const Case& one : cases) {
    LeaseSight sight;
    if (one.has_lease) {
      sight.newest = Sample(one.of, one.released);
    }
    sight.is_mine = one.mine;
    sight.is_same_place = one.same_place;
    EXPECT_EQ(JudgeLease(sight, one.timeline, one.ancestors), one.move) << one.what;
  }
}

TEST(LeaseFormat, ComesBackAsItWas) {
  const Lease lease = Sample(3, true);
  const Result<Lease> back = DecodeLease(EncodeLease(lease), 7);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->token, lease.token);
  EXPECT_EQ(back->holder, lease.holder);
  EXPECT_EQ(back->since, lease.since);
  EXPECT_EQ(back->renewed_at, lease.renewed_at);
  EXPECT_EQ(back->timeout_seconds, 60);
  EXPECT_TRUE(back->is_released);
}

TEST(LeaseFormat, DamageIsNamed) {
  for (const char* member :
       {"nonce", "host", "data_directory", "system_identifier", "timeline", "postmaster_pid",
        "since", "renewed_at", "timeout_seconds", "released", "format"}) {
    Json json = EncodeLease(Sample(1, false));
    json.erase(member);
    const Status status = DecodeLease(json, 1).status();
    EXPECT_EQ(status.code(), Code::kCorrupt) << member;
    EXPECT_NE(status.message().find(member), std::string::npos) << status.message();
  }
  Json json = EncodeLease(Sample(1, false));
  json["format"] = 2;
  EXPECT_EQ(DecodeLease(json, 1).status().code(), Code::kForeign);
  for (const auto& [member, value] : {std::pair<const char*, Json>{"timeline", 0},
                                      {"timeout_seconds", 0},
                                      {"system_identifier", "12x"}}) {
    json = EncodeLease(Sample(1, false));
    json[member] = value;
    EXPECT_EQ(DecodeLease(json, 1).status().code(), Code::kCorrupt) << member;
  }
}

TEST(LeaseFormat, TheErrorNamesBothAndSinceWhen) {
  const Status status = OtherWriter("main", Sample(1, false), {"db2", "/copy", 1, 2, 1});
  EXPECT_EQ(status.code(), Code::kOtherWriter);
  const std::string text = status.ToString();
  for (const char* part : {"\"main\"", "\"db1\"", "\"/data\"", "\"db2\"", "\"/copy\"",
                           "2023-11-14T22:13:20Z", "pitr_take_over_branch('main')"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

TEST_F(LeaseTest, IsTakenOnceAndRenewed) {
  const LeaseTaker a = Taker("a");
  EXPECT_FALSE(Look(a).newest.has_value());
  Result<Lease> lease = Take(a, std::nullopt, false);
  ASSERT_TRUE(lease.ok()) << lease.status().ToString();
  EXPECT_EQ(lease->token.number, 1U);
  const Timestamp since = lease->since;
  for (std::uint64_t number = 2; number < 12; number++) {
    const LeaseSight sight = Look(a);
    ASSERT_TRUE(sight.is_mine && sight.is_same_place) << number;
    lease = Take(a, sight.newest, true);
    ASSERT_TRUE(lease.ok()) << lease.status().ToString();
    EXPECT_EQ(lease->token.number, number);
    EXPECT_EQ(lease->since, since);
  }
  // Old ones leave, the newest never.
  EXPECT_EQ(MemoryStore(objects_).List(layout::LeasePrefix(kBranch), "", 0)->size(), 4U);
}

TEST_F(LeaseTest, ACopyThatIsOlderHasNoProof) {
  const LeaseTaker a = Taker("a"), b = Taker("b");
  ASSERT_TRUE(Take(a, std::nullopt, false).ok());
  ASSERT_TRUE(Take(a, Look(a).newest, true).ok());
  Copy(a, b);
  LeaseSight sight = Look(b);
  EXPECT_TRUE(sight.is_mine);  // as young as the lease itself: only the place tells
  EXPECT_FALSE(sight.is_same_place);
  ASSERT_TRUE(Take(a, Look(a).newest, true).ok());
  sight = Look(b);
  EXPECT_FALSE(sight.is_mine);
  EXPECT_EQ(sight.newest->holder.host, "a");
}

TEST_F(LeaseTest, WhoIsTakenOverFindsOut) {
  const LeaseTaker a = Taker("a"), b = Taker("b");
  const Result<Lease> mine = Take(a, std::nullopt, false);
  ASSERT_TRUE(mine.ok());
  const Result<Lease> theirs = Take(b, Look(b).newest, false);
  ASSERT_TRUE(theirs.ok()) << theirs.status().ToString();
  EXPECT_EQ(Take(a, *mine, true).status().code(), Code::kOtherWriter);
  EXPECT_FALSE(Look(a).is_mine);
  EXPECT_TRUE(Look(b).is_mine);
}

// A copy that takes over, and the original that intended the same number: their nonces differ.
TEST_F(LeaseTest, ACopyOfWhatWasIntendedIsNobodyElses) {
  const LeaseTaker a = Taker("a"), b = Taker("b");
  const Result<Lease> mine = Take(a, std::nullopt, false);
  ASSERT_TRUE(mine.ok());
  ASSERT_TRUE(IntendLease(a.data_directory, kBranch, mine->token, 2).ok());
  Copy(a, b);
  ASSERT_TRUE(Take(b, Look(b).newest, true).ok());
  EXPECT_TRUE(Look(b).is_mine);
  EXPECT_FALSE(Look(a).is_mine);
}

// The number that it wants was used and removed while it slept.
TEST_F(LeaseTest, ANumberThatIsFreeAgainIsNotTaken) {
  const LeaseTaker a = Taker("a"), b = Taker("b");
  const Result<Lease> mine = Take(a, std::nullopt, false);
  ASSERT_TRUE(mine.ok());
  ASSERT_TRUE(Take(b, Look(b).newest, false).ok());
  for (int i = 0; i < 10; i++) {
    ASSERT_TRUE(Take(b, Look(b).newest, true).ok());
  }
  EXPECT_EQ(Take(a, *mine, true).status().code(), Code::kOtherWriter);
  EXPECT_TRUE(Look(b).is_mine);
  ASSERT_TRUE(Take(b, Look(b).newest, true).ok());
}

TEST_F(LeaseTest, ReleasedMeansWhoeverComesFirst) {
  const LeaseTaker a = Taker("a"), b = Taker("b");
  ASSERT_TRUE(Take(a, std::nullopt, false).ok());
  ASSERT_TRUE(Take(a, Look(a).newest, true, true).ok());
  EXPECT_EQ(JudgeLease(Look(b), 1, {}), LeaseMove::kTake);
  EXPECT_EQ(JudgeLease(Look(a), 1, {}), LeaseMove::kRenew);
  const LeaseSight seen = Look(a);
  ASSERT_TRUE(Take(b, Look(b).newest, false).ok());
  EXPECT_EQ(Take(a, seen.newest, true).status().code(), Code::kOtherWriter);
}

// Processes of one server at once, and servers at once: one server has it, all of its processes know.
TEST_F(LeaseTest, ManyAtOnceEndWithOne) {
  for (int round = 0; round < 20; round++) {
    objects_ = std::make_shared<MemoryObjects>();
    const LeaseTaker takers[2] = {Taker("a" + std::to_string(round)),
                                  Taker("b" + std::to_string(round))};
    std::atomic<int> taken[2] = {0, 0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; i++) {
      threads.emplace_back([&, i] {
        const LeaseTaker& taker = takers[i % 2];
        for (int attempt = 0; attempt < 20; attempt++) {
          const LeaseSight sight = Look(taker);
          const LeaseMove move = JudgeLease(sight, 1, {});
          if (move == LeaseMove::kRefuse) {
            return;
          }
          if (Take(taker, sight.newest, sight.is_mine).ok()) {
            taken[i % 2]++;
            return;
          }
        }
        ADD_FAILURE() << "neither taken nor refused";
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_TRUE((taken[0] == 3 && taken[1] == 0) || (taken[0] == 0 && taken[1] == 3))
        << taken[0] << " " << taken[1];
  }
}

// Whatever step a renewal or a release ends at, the same directory finds its lease again, and nobody else can.
TEST_F(LeaseTest, DyingAtAnyRequestLeavesItMine) {
  for (const bool release : {false, true}) {
    for (const auto way : {FaultStore::kFailOnce, FaultStore::kDieBefore, FaultStore::kDieAfter}) {
      for (int at = 0;; at++) {
        const std::string name = std::to_string(release) + std::to_string(way) + std::to_string(at);
        objects_ = std::make_shared<MemoryObjects>();
        const LeaseTaker a = Taker("a" + name), b = Taker("b" + name);
        ASSERT_TRUE(Take(a, std::nullopt, false).ok());
        MemoryStore inner(objects_);
        auto counting = std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at + 1});
        // The first request opens the repository.
        Result<std::unique_ptr<Repository>> repo = Repository::Open(std::move(counting), false);
        ASSERT_TRUE(repo.ok()) << repo.status().ToString();
        const Result<LeaseSight> sight = LookAtLease(repo->get(), a);
        const bool done =
            sight.ok() &&
            TakeLease(repo->get(), a, sight->newest, {.is_mine = true, .release = release}).ok();
        const LeaseSight now = Look(a);
        ASSERT_TRUE(now.is_mine && now.is_same_place) << name;
        if (!now.newest->is_released) {
          EXPECT_EQ(JudgeLease(Look(b), 1, {}), LeaseMove::kRefuse) << name;
        }
        const Result<Lease> again = Take(a, now.newest, true);
        ASSERT_TRUE(again.ok()) << name << ": " << again.status().ToString();
        if (done && at > 8) {
          break;
        }
      }
    }
  }
}

TEST_F(LeaseTest, AStoreThatTakesNamesTwiceIsFoundOut) {
  for (bool MemoryObjects::*lack :
       {&MemoryObjects::takes_names_twice, &MemoryObjects::looks_too_early}) {
    objects_ = std::make_shared<MemoryObjects>();
    const LeaseTaker a = Taker("a");
    const std::unique_ptr<Repository> repo = Open();
    (*objects_).*lack = true;  // moved to another server since
    const Status status = TakeLease(repo.get(), a, std::nullopt, LeaseStep()).status();
    EXPECT_EQ(status.code(), Code::kUnsupported) << status.ToString();
    EXPECT_NE(status.hint().find("If-None-Match"), std::string::npos);
  }
}

TEST_F(LeaseTest, WithoutConditionsItIsReadBackTwice) {
  objects_->takes_names_twice = true;
  const std::unique_ptr<Repository> repo = Open();
  ASSERT_FALSE(repo->conditional_writes());
  LeaseTaker a = Taker("a");
  int pauses = 0;
  a.pause = [&](std::int64_t) {
    pauses++;
    return Status::Ok();
  };
  ASSERT_TRUE(TakeLease(repo.get(), a, std::nullopt, LeaseStep()).ok());
  EXPECT_EQ(pauses, 1);
  // Somebody who looked when we did writes after us: seen at the second reading.
  const LeaseTaker b = Taker("b");
  const LeaseSight sight = Look(a);
  a.pause = [&](std::int64_t) {
    MemoryStore store(objects_);
    Lease other = *sight.newest;
    other.token.nonce = "other";
    EXPECT_TRUE(store.Remove(layout::LeaseObject(kBranch, 2)).ok());
    return WriteEnvelope(&store, layout::LeaseObject(kBranch, 2), ObjectKind::kText, 0,
                         AsBytes(DumpJson(EncodeLease(other))));
  };
  EXPECT_EQ(TakeLease(repo.get(), a, sight.newest, {.is_mine = true}).status().code(),
            Code::kOtherWriter);
  EXPECT_FALSE(Look(a).is_mine);
}

TEST_F(LeaseTest, ADamagedLeaseIsNamed) {
  MemoryStore store(objects_);
  ASSERT_TRUE(
      WriteEnvelope(&store, layout::LeaseObject(kBranch, 1), ObjectKind::kText, 0, AsBytes("{}"))
          .ok());
  // The folder is not empty: the repository is made by hand.
  ASSERT_TRUE(
      store
          .Put("repository.json",
               AsBytes(R"({"format":"pitr_ext repository","version":1,"id":"x","cipher":"none"})"))
          .ok());
  const Status status = LookAtLease(Open().get(), Taker("a")).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find("lease/00000000000000000001"), std::string::npos)
      << status.message();
}

}  // namespace
}  // namespace pitr
