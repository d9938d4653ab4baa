// The program is no library, so its test compiles the sources into itself.
#include "tool/pipeline.cpp"

#include <gtest/gtest.h>

#include "unit/support/temp_dir.h"

namespace pitr::tool {
namespace {

using Programs = std::vector<std::vector<std::string>>;

std::vector<std::string> Shell(const std::string& command) { return {"/bin/sh", "-c", command}; }

Status RunAll(const Programs& programs, const CancelToken& cancel = NoCancel()) {
  return RunPipeline(
      programs, {"PATH=/usr/bin:/bin", "WORD=of the environment"}, [] {}, cancel);
}

TEST(Pipeline, LetsEachReadWhatTheOneBeforeWrites) {
  const TempDir directory;
  const std::string file = directory / "out";
  const Status run =
      RunAll({Shell("echo $WORD; seq 1 100000"), {"/bin/cat"}, Shell("wc -l >" + file)});
  ASSERT_TRUE(run.ok()) << run.ToString();
  const auto text = ReadTextFile(file, 100);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "100001\n");
}

TEST(Pipeline, TellsWhoFailedByItself) {
  const Status first = RunAll({Shell("echo one; echo broken >&2; exit 3"), {"/bin/cat"}});
  EXPECT_EQ(first.code(), Code::kInternal);
  EXPECT_EQ(first.message(), "sh failed");
  EXPECT_EQ(first.detail(), "broken");
  // The first one is cut off by that.
  const Status second = RunAll({{"/usr/bin/yes"}, Shell("echo later >&2; exit 1")});
  EXPECT_EQ(second.detail(), "later");
  const Status full = RunAll({Shell("echo No space left on device >&2; exit 1")});
  EXPECT_EQ(full.code(), Code::kDiskFull);
  const Status killed = RunAll({Shell("kill -9 $$")});
  EXPECT_EQ(killed.detail(), "It was ended by signal 9.");
  EXPECT_FALSE(RunAll({{"/nowhere/program"}}).ok());
}

TEST(Pipeline, KeepsTheLastWords) {
  const Status run = RunAll({Shell("seq 1 10000 >&2; echo the last one >&2; exit 1")});
  EXPECT_LT(run.detail().size(), 3000U);
  EXPECT_TRUE(run.detail().ends_with("the last one")) << run.detail();
}

TEST(Pipeline, EndsAllWhenItIsCancelled) {
  class Now final : public CancelToken {
   public:
    bool IsCancelled() const noexcept override { return true; }
  };
  const TempDir directory;
  const std::string file = directory / "ended";
  const Status run = RunAll({Shell("exec sleep 100"), Shell("cat; echo over >" + file)}, Now());
  EXPECT_EQ(run.code(), Code::kCancelled);
  EXPECT_FALSE(PathExists(file));
}

TEST(Pipeline, CallsMeanwhile) {
  int calls = 0;
  const Status run = RunPipeline(
      {Shell("exec sleep 0.7")}, {"PATH=/usr/bin:/bin"}, [&] { calls++; }, NoCancel());
  EXPECT_TRUE(run.ok());
  EXPECT_GE(calls, 1);
}

}  // namespace
}  // namespace pitr::tool
