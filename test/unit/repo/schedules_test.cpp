// Schedules in the catalogue: what is written, what becomes of a run, and whose a schedule is after restores.
#include "core/repo/schedules.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/base/file.h"
#include "core/repo/catalogue.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

constexpr const char* kBranch = "br-quiet-river-0a1b2c3d";
constexpr std::int64_t kMinute = 60 * 1000000LL;

Timestamp Time(const std::string& text) { return *ParseRfc3339(text); }

Schedule Daily(int hour) {
  Schedule schedule;
  schedule.id = "sc-20261120T100000-0000000" + std::to_string(hour);
  schedule.kind = "snapshot";
  schedule.branch = kBranch;
  schedule.item["frequency"] = "daily";
  schedule.item["hour"] = hour;
  schedule.served = Time("2026-11-20T10:00:00Z");
  return schedule;
}

TEST(Schedules, GoldenVersionOneIsReadAndWrittenAgainByteForByte) {
  const Result<std::string> text =
      ReadTextFile(std::string(PITR_TEST_DIR) + "/golden/schedules/v1.json", 1U << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  const Result<Json> json = ParseJson(*text, "golden file");
  ASSERT_TRUE(json.ok());
  const Result<ScheduleSet> set = DecodeSchedules(*json);
  ASSERT_TRUE(set.ok()) << set.status().ToString();
  Json written = Json::object();
  ScheduleSet fresh = *set;
  for (Schedule& schedule : fresh.schedules) {
    schedule.members = Json::object();
  }
  PutSchedules(fresh, &written);
  EXPECT_EQ(DumpJson(written, 2) + "\n", *text);
  EXPECT_EQ(set->schedules[0].retention_seconds, 604800);
  EXPECT_EQ(set->schedules[0].run->failures, 1);
  EXPECT_EQ(set->schedules[1].database, "shop");
  EXPECT_FALSE(set->schedules[1].run.has_value());
  EXPECT_EQ(set->skipped[0].due, Time("2026-11-20T04:00:00Z"));
}

TEST(Schedules, WhatLaterVersionsKnowStays) {
  Json document = *ParseJson(
      R"({"version":1,"later":[1],"schedules":[{"id":"sc-1","kind":"tea","branch":"br-a-b-c","item":{"sugar":2},
          "timezone":"UTC","served":1,"milk":true}]})",
      "test");
  const Result<ScheduleSet> set = DecodeSchedules(document);
  ASSERT_TRUE(set.ok()) << set.status().ToString();
  PutSchedules(*set, &document);
  EXPECT_EQ(DumpJson(document["later"]), "[1]");
  EXPECT_EQ(document["schedules"][0]["milk"], true);
  EXPECT_EQ(document["schedules"][0]["item"]["sugar"], 2);
}

TEST(Schedules, WhatIsDamagedIsNamed) {
  const auto message = [](const char* text) {
    return DecodeSchedules(*ParseJson(text, "test")).status().ToString();
  };
  EXPECT_NE(message(R"({"version":2})").find("version 2"), std::string::npos);
  EXPECT_NE(message(R"({"schedules":[{"kind":"snapshot"}]})").find("\"id\""), std::string::npos);
  EXPECT_NE(message(R"({"schedules":[{"id":"sc-7","kind":5}]})").find("schedule \"sc-7\""),
            std::string::npos);
  EXPECT_NE(message(R"({"skipped":[{}]})").find("skipped runs"), std::string::npos);
  EXPECT_TRUE(DecodeSchedules(Json::object()).ok());
}

TEST(Schedules, AreKeptInTheCatalogue) {
  const std::unique_ptr<Repository> repo = *Repository::Open(std::make_unique<MemoryStore>(), true);
  EXPECT_TRUE(ReadSchedules(repo.get())->schedules.empty());
  ASSERT_TRUE(UpdateSchedules(repo.get(), [](ScheduleSet* set) {
                set->schedules.push_back(Daily(5));
                return Status::Ok();
              }).ok());
  const Result<ScheduleSet> set = ReadSchedules(repo.get());
  ASSERT_TRUE(set.ok());
  ASSERT_NE(set->Find(Daily(5).id), nullptr);
  EXPECT_EQ(set->Find(Daily(5).id)->item, Daily(5).item);
  EXPECT_EQ(set->Find("sc-other"), nullptr);
}

TEST(Schedules, FreshIdsDiffer) {
  const Timestamp now = Time("2026-11-20T10:00:00Z");
  const std::string a = *NewScheduleId(now), b = *NewScheduleId(now);
  EXPECT_EQ(a.substr(0, 19), "sc-20261120T100000-");
  EXPECT_EQ(a.size(), 27U);
  EXPECT_NE(a, b);
}

TEST(Schedules, WhatIsSetAgainStaysTheSame) {
  ScheduleSet set;
  set.schedules = {Daily(5), Daily(6)};
  set.schedules[0].last_state = "ok";
  Schedule other = Daily(7);
  other.branch = "br-other-branch-1";
  set.schedules.push_back(other);
  Schedule again = Daily(5), fresh = Daily(8), elsewhere = Daily(6);
  again.id = "sc-again";
  elsewhere.id = "sc-elsewhere";
  elsewhere.timezone = "Europe/Berlin";
  ReplaceSchedules(&set, [](const Schedule& old) { return old.branch == kBranch; },
                   {again, fresh, elsewhere});
  ASSERT_EQ(set.schedules.size(), 4U);
  EXPECT_EQ(set.schedules[0].id, other.id);
  EXPECT_EQ(set.schedules[1].id, Daily(5).id);
  EXPECT_EQ(set.schedules[1].last_state, "ok");
  EXPECT_EQ(set.schedules[2].id, Daily(8).id);
  EXPECT_EQ(set.schedules[3].id, "sc-elsewhere");
  ReplaceSchedules(&set, [](const Schedule& old) { return old.branch == kBranch; }, {});
  EXPECT_EQ(set.schedules.size(), 1U);
}

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    set.schedules = {Daily(5)};
    set.schedules[0].run = ScheduleRun{"op-1", due, {}, 0, true};
  }
  Schedule& End(const RunOutcome& outcome) {
    EndRun(&set, &set.schedules[0], outcome, now, kMinute);
    return set.schedules[0];
  }
  const Timestamp due = Time("2026-11-21T05:00:00Z"), now = Time("2026-11-21T05:00:10Z");
  ScheduleSet set;
};

TEST_F(RunTest, Done) {
  RunOutcome outcome;
  outcome.is_done = true;
  outcome.detail = "sn-1";
  const Schedule& schedule = End(outcome);
  EXPECT_EQ(schedule.last_state, "ok");
  EXPECT_EQ(schedule.last_detail, "sn-1");
  EXPECT_EQ(schedule.last_run, now);
  EXPECT_EQ(schedule.served, due);
  EXPECT_TRUE(schedule.was_made_up);
  EXPECT_FALSE(schedule.run.has_value());
  EXPECT_TRUE(set.skipped.empty());
}

TEST_F(RunTest, Skipped) {
  RunOutcome outcome;
  outcome.is_done = outcome.is_skipped = true;
  outcome.name = "sched_main";
  EXPECT_EQ(End(outcome).last_state, "skipped");
  EXPECT_EQ(set.schedules[0].served, due);
  ASSERT_EQ(set.skipped.size(), 1U);
  EXPECT_EQ(set.skipped[0].name, "sched_main");
  EXPECT_EQ(set.skipped[0].branch, kBranch);
  for (int i = 0; i < 150; i++) {
    set.schedules[0].run = ScheduleRun{"op-" + std::to_string(i), due, {}, 0, false};
    outcome.name = std::to_string(i);
    End(outcome);
  }
  EXPECT_EQ(set.skipped.size(), 100U);
  EXPECT_EQ(set.skipped.back().name, "149");
}

TEST_F(RunTest, Failed) {
  RunOutcome outcome;
  outcome.detail = "no space";
  const Schedule& schedule = End(outcome);
  EXPECT_EQ(schedule.last_state, "failed");
  EXPECT_EQ(schedule.last_detail, "no space");
  EXPECT_LT(schedule.served, due);
  ASSERT_TRUE(schedule.run.has_value());
  EXPECT_EQ(schedule.run->operation, "");
  EXPECT_EQ(schedule.run->failures, 1);
  EXPECT_EQ(schedule.run->retry_at.micros, now.micros + kMinute);
}

TEST_F(RunTest, InterruptedBeginsAnewAtOnce) {
  RunOutcome outcome;
  outcome.is_interrupted = true;
  EXPECT_EQ(End(outcome).run->retry_at, now);
}

TEST(HolderOf, TheLineThatHasTheNameNow) {
  const auto make = [](const std::string& id, const std::string& name, std::int64_t seconds) {
    Branch branch;
    branch.id = id;
    branch.name = name;
    branch.created_at = branch.updated_at = {seconds * 1000000};
    return branch;
  };
  BranchSet set;
  set.Add(make("br-a-a-a", "main", 1));
  EXPECT_EQ(HolderOf(set, "br-a-a-a"), "br-a-a-a");
  EXPECT_EQ(HolderOf(set, "br-x-x-x"), "br-x-x-x");
  set.Add(make("br-b-b-b", "main_restoring", 10));
  set.HandOver("br-a-a-a", "br-b-b-b", "main_old", {20 * 1000000});
  EXPECT_EQ(HolderOf(set, "br-a-a-a"), "br-b-b-b");
  set.Add(make("br-c-c-c", "main_restoring", 25));
  set.HandOver("br-b-b-b", "br-c-c-c", "main_old_2", {30 * 1000000});
  EXPECT_EQ(HolderOf(set, "br-a-a-a"), "br-c-c-c");
  // The name moves on; what it was handed over from follows.
  set.Rename("br-c-c-c", "prod", {35 * 1000000});
  EXPECT_EQ(HolderOf(set, "br-a-a-a"), "br-c-c-c");
  // And an undo back to the first.
  set.HandOver("br-c-c-c", "br-a-a-a", "prod_old", {40 * 1000000});
  EXPECT_EQ(HolderOf(set, "br-a-a-a"), "br-a-a-a");
  EXPECT_EQ(HolderOf(set, "br-c-c-c"), "br-a-a-a");
  EXPECT_EQ(HolderOf(set, "br-b-b-b"), "br-a-a-a");
  // Another branch that is called so later is nobody's heir.
  set.Add(make("br-d-d-d", "dev", 50));
  EXPECT_EQ(HolderOf(set, "br-d-d-d"), "br-d-d-d");
}

}  // namespace
}  // namespace pitr
