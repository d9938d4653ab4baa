#include "core/types/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace pitr {
namespace {

TEST(IdsTest, FreshBranchIdsHaveTheShapeAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 500; i++) {
    const Result<BranchId> id = NewBranchId();
    ASSERT_TRUE(id.ok());
    EXPECT_TRUE(IsBranchId(*id)) << *id;
    EXPECT_TRUE(seen.insert(*id).second);
  }
}

TEST(IdsTest, SnapshotAndOperationIdsCarryTheirTime) {
  const Result<SnapshotId> snapshot = NewSnapshotId(1774440000);
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(snapshot->size(), 27U);
  EXPECT_EQ(snapshot->substr(0, 19), "sn-20260325T120000-");
  EXPECT_NE(*snapshot, *NewSnapshotId(1774440000));
  EXPECT_EQ(NewOperationId(0)->substr(0, 19), "op-19700101T000000-");
}

TEST(IdsTest, BranchIdsAreThreeGroupsOfLowerCaseLettersAndDigits) {
  EXPECT_TRUE(IsBranchId("br-a-b-c"));
  EXPECT_TRUE(IsBranchId("br-calm-lake-0123abcd"));
  for (const char* text :
       {"", "br-", "br-a", "br-a-b", "br-a-b-", "br--b-c", "br-a--c", "br-a-b-c-d", "br-A-b-c",
        "br-a-b-c ", "xbr-a-b-c", "sn-a-b-c", "br-a-b_-c"}) {
    EXPECT_FALSE(IsBranchId(text)) << text;
  }
  EXPECT_TRUE(IsBranchId("br-a-b-" + std::string(53, 'x')));
  EXPECT_FALSE(IsBranchId("br-a-b-" + std::string(54, 'x')));
}

TEST(NameTest, AcceptsOrdinaryAndForeignNames) {
  for (const char* name :
       {"main", "a", "feature/login@2", "with blank inside", "\"quoted\"", "br-feature", "sn-",
        "caf\xC3\xA9", "\xE6\x97\xA5\xE6\x9C\xAC", "\xF0\x9F\x98\x80", "a^b"}) {
    const Status status = CheckName(name, "branch");
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
}

TEST(NameTest, RefusesNamesThatCouldBeMistaken) {
  for (const char* name : {"", " a", "a ", " ", "^self", "^", "br-calm-lake-0123abcd",
                           "sn-20260325T120000-0123abcd", "a\tb", "a\nb", "\x7F", "a\xC2\x85z"}) {
    const Status status = CheckName(name, "branch");
    EXPECT_EQ(status.code(), Code::kInvalidName) << name;
    EXPECT_EQ(status.message().substr(0, 12), "branch name ") << status.message();
  }
  EXPECT_EQ(CheckName(std::string_view("a\0b", 3), "snapshot").code(), Code::kInvalidName);
}

TEST(NameTest, RefusesInvalidUtf8) {
  for (const char* name :
       {"\x80", "\xC3", "a\xC3z", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "\xF8\x88\x80\x80\x80", "\xFF", "\xF0\x80\x80\x80"}) {
    EXPECT_EQ(CheckName(name, "branch").code(), Code::kInvalidName);
  }
}

TEST(NameTest, CountsCharactersNotBytes) {
  std::string name;
  for (int i = 0; i < 256; i++) {
    name += "\xC3\xA9";
  }
  EXPECT_TRUE(CheckName(name, "branch").ok());
  EXPECT_EQ(CheckName(name + "x", "branch").code(), Code::kNameTooLong);
}

TEST(NameTest, CutsBetweenCharacters) {
  EXPECT_EQ(CutCodePoints("abc", 2), "ab");
  EXPECT_EQ(CutCodePoints("abc", 3), "abc");
  EXPECT_EQ(CutCodePoints("abc", 10), "abc");
  EXPECT_EQ(CutCodePoints("abc", 0), "");
  EXPECT_EQ(CutCodePoints("a\xC3\xA9z", 2), "a\xC3\xA9");
  EXPECT_EQ(CutCodePoints("", 3), "");
}

TEST(NameTest, UndoNamesCarryTheTimeAndAvoidTakenOnes) {
  const std::string time = "2026-03-25T10:00:00Z";
  const auto free = [](const std::string&) { return false; };
  EXPECT_EQ(UndoBranchName("main", time, free), "main_old_" + time);
  std::set<std::string> taken = {"main_old_" + time, "main_old_" + time + "_2"};
  EXPECT_EQ(UndoBranchName("main", time, [&](const std::string& n) { return taken.count(n) > 0; }),
            "main_old_" + time + "_3");
}

TEST(NameTest, UndoNamesOfLongNamesStayWithinTheLimit) {
  const std::string time = "2026-03-25T10:00:00Z";
  const std::string longest(256, 'x');
  const std::string name = UndoBranchName(longest, time, [](const std::string&) { return false; });
  EXPECT_EQ(name.size(), 256U);
  EXPECT_TRUE(CheckName(name, "branch").ok());
  const std::string second = UndoBranchName(
      longest, time, [&](const std::string& candidate) { return candidate == name; });
  EXPECT_EQ(second.size(), 256U);
  EXPECT_TRUE(second.ends_with(time + "_2"));
}

}  // namespace
}  // namespace pitr
