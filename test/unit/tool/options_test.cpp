// The program is no library, so its test compiles the source into itself.
#include "tool/options.cpp"

#include <gtest/gtest.h>

namespace pitr::tool {
namespace {

const std::vector<OptionSpec> kSpecs = {{"target"}, {"jobs"}, {"start", false}};

TEST(OptionsTest, ReadsValuesFlagsAndPositionals) {
  const auto options =
      Options::Parse({"--target=a=b", "one", "--jobs", "3", "--start", "--", "--two"}, kSpecs, 2);
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->Text("target"), "a=b");
  EXPECT_EQ(*options->NumberOr("jobs", 1, 1, 64), 3);
  EXPECT_TRUE(options->Has("start"));
  EXPECT_EQ(options->positional(), (std::vector<std::string>{"one", "--two"}));
  EXPECT_EQ(options->TextOr("name", "none"), "none");
  EXPECT_EQ(*options->NumberOr("port", 7, 1, 9), 7);
}

TEST(OptionsTest, RefusesWhatItDoesNotKnow) {
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"--nonsense"}, "unknown option \"--nonsense\""},
      {{"-t"}, "unknown option \"-t\""},
      {{"--target"}, "option \"--target\" needs a value"},
      {{"--start=yes"}, "option \"--start\" takes no value"},
      {{"--start", "--start"}, "option \"--start\" is given twice"},
      {{"a", "b"}, "unexpected argument \"b\""},
      {{"--"
        "="},
       "unknown option \"--\""},
  };
  for (const auto& [arguments, message] : wrong) {
    const auto options = Options::Parse(arguments, kSpecs, 1);
    ASSERT_FALSE(options.ok());
    EXPECT_EQ(options.status().message(), message);
    EXPECT_EQ(options.status().code(), Code::kInvalidArgument);
  }
}

TEST(OptionsTest, ChecksNumbersAndWhatIsNeeded) {
  for (const char* text : {"", "x", "3x", "0", "65", "99999999999999999999"}) {
    const auto options = Options::Parse({"--jobs", text}, kSpecs, 0);
    ASSERT_TRUE(options.ok());
    EXPECT_FALSE(options->NumberOr("jobs", 1, 1, 64).ok()) << text;
  }
  const auto options = Options::Parse({"--target", ""}, kSpecs, 0);
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->Required("target").status().message(), "option \"--target\" is needed");
  EXPECT_FALSE(options->Required("jobs").ok());
}

}  // namespace
}  // namespace pitr::tool
