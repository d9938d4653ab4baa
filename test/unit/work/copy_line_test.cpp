#include "core/work/copy_line.h"

#include <gtest/gtest.h>

#include <optional>

namespace pitr {
namespace {

using Values = std::vector<std::optional<std::string>>;

Values Split(std::string line) {
  std::vector<const char*> values = {"of another line"};
  SplitCopyLine(&line, &values);
  Values copies;
  for (const char* value : values)
    copies.push_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
  return copies;
}

TEST(CopyLine, IsTakenApartAtTabs) {
  EXPECT_EQ(Split("1\ttwo\t3.5\n"), (Values{"1", "two", "3.5"}));
  EXPECT_EQ(Split("one\n"), (Values{"one"}));
  EXPECT_EQ(Split("\n"), (Values{""}));
  EXPECT_EQ(Split("\t\n"), (Values{"", ""}));
  EXPECT_EQ(Split("a\tb"), (Values{"a", "b"}));
  EXPECT_EQ(Split(""), (Values{""}));
}

TEST(CopyLine, HasNullsThatAreNoTexts) {
  EXPECT_EQ(Split("\\N\t\\\\N\tN\t\\N\n"), (Values{std::nullopt, "\\N", "N", std::nullopt}));
  EXPECT_EQ(Split("\\N\n"), (Values{std::nullopt}));
}

TEST(CopyLine, GivesBackWhatWasEscaped) {
  EXPECT_EQ(Split("a\\tb\\nc\\\\d\\re\\bf\\fg\\vh\tx\\\\\n"),
            (Values{"a\tb\nc\\d\re\bf\fg\vh", "x\\"}));
  EXPECT_EQ(Split("\xc3\xa4\\n\xe2\x82\xac\n"), (Values{"\xc3\xa4\n\xe2\x82\xac"}));
  EXPECT_EQ(Split("end\\\n"), (Values{"end\\"}));
}

}  // namespace
}  // namespace pitr
