#include "core/repo/retention_rules.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

constexpr const char* kMain = "br-quiet-river-0a1b2c3d";
constexpr const char* kOther = "br-still-lake-0a1b2c3d";

class RetentionRulesTest : public ::testing::Test {
 protected:
  RetentionRulesTest() : repo_(*Repository::Open(std::make_unique<MemoryStore>(), true)) {
    Add(kMain, "main", 0);
  }
  void Add(const char* id, const char* name, std::int64_t at) {
    Branch branch;
    branch.id = id;
    branch.name = name;
    branch.root = {1, 15, 1U << 20};
    branch.created_at = {at};
    set_.Add(branch);
  }
  Status Set(const char* id, std::optional<std::int64_t> window,
             std::optional<std::int64_t> daily) {
    return UpdateRetentionRules(repo_.get(), set_, id, [&](RetentionRules* rules) {
      rules->window_seconds = window;
      rules->daily = daily;
      return Status::Ok();
    });
  }
  RetentionRules Rules(const char* id) {
    const Result<RetentionRuleSet> set = ReadRetentionRules(repo_.get());
    EXPECT_TRUE(set.ok()) << set.status().ToString();
    return set.ok() ? RulesOf(*set, set_, id) : RetentionRules();
  }
  std::unique_ptr<Repository> repo_;
  BranchSet set_;
};

TEST_F(RetentionRulesTest, AreReadBackAndUnknownMembersStay) {
  EXPECT_EQ(Rules(kMain), RetentionRules());
  ASSERT_TRUE(UpdateDocument(repo_.get(), "retention", [](Json* document) {
                (*document)[kMain]["of_tomorrow"] = 5;
                return Status::Ok();
              }).ok());
  ASSERT_TRUE(Set(kMain, 7200, 14).ok());
  ASSERT_TRUE(Set(kMain, std::nullopt, 15).ok());
  EXPECT_FALSE(Rules(kMain).window_seconds);
  EXPECT_EQ(Rules(kMain).daily, 15);
  EXPECT_TRUE(Rules(kMain).HasClasses());
  const Result<Json> document = ReadDocument(repo_.get(), "retention");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ((*document)[kMain]["of_tomorrow"], 5);
}

TEST_F(RetentionRulesTest, FollowTheNameThroughARestore) {
  ASSERT_TRUE(Set(kMain, 7200, std::nullopt).ok());
  Add(kOther, "restored", 10);
  set_.HandOver(kMain, kOther, "main_old", {20});
  EXPECT_EQ(Rules(kOther).window_seconds, 7200);
  EXPECT_EQ(Rules(kMain).window_seconds, 7200);
  // What is set from here on is its own, what was there before included.
  ASSERT_TRUE(Set(kOther, Rules(kOther).window_seconds, 3).ok());
  EXPECT_EQ(Rules(kOther).window_seconds, 7200);
  ASSERT_TRUE(Set(kOther, std::nullopt, std::nullopt).ok());
  EXPECT_EQ(Rules(kOther), RetentionRules());
  EXPECT_EQ(Rules(kMain).window_seconds, 7200);
}

TEST_F(RetentionRulesTest, AnotherBranchOfThatNameHasNone) {
  ASSERT_TRUE(Set(kMain, 7200, std::nullopt).ok());
  set_.Rename(kMain, "before", {5});
  Add(kOther, "main", 10);
  EXPECT_EQ(Rules(kOther), RetentionRules());
}

TEST_F(RetentionRulesTest, AServerSaysWhatItHasSetOnce) {
  std::uint64_t first = 0, second = 0;
  ASSERT_TRUE(NoteServerRetention(repo_.get(), kMain, {86400, 2}).ok());
  const Result<RetentionRuleSet> set = ReadRetentionRules(repo_.get(), &first);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->at(kMain).server, (ServerRetention{86400, 2}));
  EXPECT_FALSE(set->at(kMain).rules);
  ASSERT_TRUE(NoteServerRetention(repo_.get(), kMain, {86400, 2}).ok());
  ASSERT_TRUE(ReadRetentionRules(repo_.get(), &second).ok());
  EXPECT_EQ(first, second);
  ASSERT_TRUE(Set(kMain, 7200, std::nullopt).ok());
  EXPECT_EQ(ReadRetentionRules(repo_.get())->at(kMain).server, (ServerRetention{86400, 2}));
}

TEST_F(RetentionRulesTest, DamageIsAnError) {
  for (const char* text :
       {R"({"br-a-b-c": 1})", R"({"br-a-b-c": {"daily": "x"}})",
        R"({"br-a-b-c": {"window_seconds": -1}})", R"({"br-a-b-c": {"server": []}})"}) {
    const Result<RetentionRuleSet> set = DecodeRetentionRules(*ParseJson(text, "test"));
    EXPECT_EQ(set.status().code(), Code::kCorrupt) << text;
    EXPECT_NE(set.status().message().find("br-a-b-c"), std::string::npos);
  }
}

TEST_F(RetentionRulesTest, GoldenVersionIsRead) {
  const Result<std::string> text =
      ReadTextFile(std::string(PITR_TEST_DIR) + "/golden/retention/rules.json", 1U << 20);
  ASSERT_TRUE(text.ok());
  const Result<RetentionRuleSet> set = DecodeRetentionRules(*ParseJson(*text, "golden file"));
  ASSERT_TRUE(set.ok()) << set.status().ToString();
  RetentionRules rules;
  rules.window_seconds = 604800;
  rules.keep_count = 7;
  rules.daily = 7;
  rules.weekly = 4;
  rules.monthly = 12;
  rules.yearly = 3;
  EXPECT_EQ(set->at(kMain).rules, rules);
  EXPECT_EQ(set->at(kMain).server, (ServerRetention{604800, 1}));
}

}  // namespace
}  // namespace pitr
