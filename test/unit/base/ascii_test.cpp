#include "core/base/ascii.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(Ascii, OnlyItsOwnLettersChangeCase) {
  EXPECT_EQ(ToLowerAscii("Content-TYPE @[`{"), "content-type @[`{");
  EXPECT_EQ(ToLowerAscii("\xc3\x84Z"), "\xc3\x84z");
  EXPECT_EQ(ToLowerAscii(""), "");
}

TEST(Ascii, BlanksAreTrimmedAtBothEndsOnly) {
  EXPECT_EQ(Trimmed(" \t\v\fa b\r\n"), "a b");
  EXPECT_EQ(Trimmed("\n"), "");
  EXPECT_EQ(Trimmed(""), "");
  EXPECT_EQ(Trimmed("a"), "a");
}

TEST(Ascii, ListsAreSplitAtCommas) {
  EXPECT_EQ(SplitAtCommas(" /a, b ,,c "), (std::vector<std::string>{"/a", "b", "c"}));
  EXPECT_TRUE(SplitAtCommas(" , ").empty());
  EXPECT_TRUE(SplitAtCommas("").empty());
}

TEST(Ascii, VisibleIsNeitherEmptyNorBlankNorBeyond) {
  EXPECT_TRUE(IsVisibleAscii("!~aZ9"));
  EXPECT_FALSE(IsVisibleAscii(""));
  EXPECT_FALSE(IsVisibleAscii("a b"));
  EXPECT_FALSE(IsVisibleAscii("a\x7f"));
  EXPECT_FALSE(IsVisibleAscii("\xc3\x84"));
}

TEST(Ascii, MadeOfTheSetsAlone) {
  EXPECT_TRUE(IsMadeOf("ab1", {"abc", "123"}));
  EXPECT_TRUE(IsMadeOf("", {"abc"}));
  EXPECT_FALSE(IsMadeOf("ab4", {"abc", "123"}));
}

}  // namespace
}  // namespace pitr
