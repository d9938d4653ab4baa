#include "core/plan/branch_tree.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pitr {
namespace {

constexpr std::int64_t kSecond = 1000000;

Branch Made(const std::string& name, const std::string& parent, std::int64_t second) {
  Branch branch;
  branch.id = "br-" + name;
  branch.name = name;
  if (!parent.empty()) {
    branch.parent = "br-" + parent;
    branch.fork_lsn = {0x1000000ULL + static_cast<std::uint64_t>(second)};
  }
  branch.created_at = {second * kSecond};
  return branch;
}

std::vector<std::string> Texts(const BranchSet& set, std::int64_t second) {
  std::vector<std::string> texts;
  for (const BranchTreeRow& row : BranchTree(set, {second * kSecond})) {
    EXPECT_TRUE(row.text.find(row.branch->name) != std::string::npos);
    texts.push_back(row.text);
  }
  return texts;
}

using Lines = std::vector<std::string>;

TEST(BranchTree, ParentsComeBeforeTheirChildren) {
  BranchSet set;
  set.branches = {Made("deep", "a", 100), Made("b", "main", 90), Made("a", "main", 80),
                  Made("main", "", 0)};
  EXPECT_EQ(Texts(set, 200),
            (Lines{"main        3 min", "├─ a        2 min, from 0/1000050",
                   "│  └─ deep  1 min, from 0/1000064", "└─ b        1 min, from 0/100005A"}));
  EXPECT_TRUE(Texts(BranchSet(), 0).empty());
}

TEST(BranchTree, WhoDescendsFromADeletedBranchTakesItsPlace) {
  BranchSet set;
  set.branches = {Made("main", "", 0), Made("gone", "main", 1), Made("left", "gone", 2),
                  Made("orphan", "nobody", 3)};
  set.branches[1].deleted_at = Timestamp{4 * kSecond};
  EXPECT_EQ(Texts(set, 5), (Lines{"main     5 s", "└─ left  3 s, from 0/1000002",
                                  "orphan   2 s, from 0/1000003"}));
}

TEST(BranchTree, ARingIsShownAndEnds) {
  BranchSet set;
  set.branches = {Made("one", "two", 0), Made("two", "one", 0), Made("self", "self", 0),
                  Made("lost", "dead", 0), Made("dead", "lost", 0)};
  set.branches[4].deleted_at = Timestamp{0};
  const Lines texts = Texts(set, 0);
  ASSERT_EQ(texts.size(), 4U);
  EXPECT_EQ(texts[0], "one     0 s, from 0/1000000");
  EXPECT_EQ(texts[1], "└─ two  0 s, from 0/1000000");
}

TEST(BranchTree, WhatIsSpecialIsSaidAndLongNamesStandOut) {
  BranchSet set;
  set.branches = {Made("main", "", 0), Made(std::string(60, 'x'), "main", 1),
                  Made("\xc3\xa4", "main", 2)};
  set.branches[0].is_protected = true;
  set.branches[1].is_masked = true;
  set.branches[1].expires_at = Timestamp{7205 * kSecond};
  set.branches[2].kind = BranchKind::kSchemaOnly;
  set.branches[2].fork_lsn = {};
  EXPECT_EQ(Texts(set, 5),
            (Lines{"main  5 s, protected",
                   "├─ " + std::string(60, 'x') + "  4 s, from 0/1000001, masked, expires in 2 h",
                   "└─ \xc3\xa4  3 s, schema only"}));
}

TEST(BranchTree, AgesAreShort) {
  EXPECT_EQ(AgeText(-1), "0 s");
  EXPECT_EQ(AgeText(59 * kSecond), "59 s");
  EXPECT_EQ(AgeText(60 * kSecond), "1 min");
  EXPECT_EQ(AgeText(3599 * kSecond), "59 min");
  EXPECT_EQ(AgeText(3600 * kSecond), "1 h");
  EXPECT_EQ(AgeText(24LL * 3600 * kSecond), "1 d");
  EXPECT_EQ(AgeText(400LL * 24 * 3600 * kSecond), "400 d");
}

}  // namespace
}  // namespace pitr
