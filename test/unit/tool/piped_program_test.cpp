// The program is no library, so its test compiles the source into itself.
#include "tool/piped_program.cpp"

#include <gtest/gtest.h>

#include "tool/signals.cpp"  // what it calls, and what pipeline_test does

namespace pitr::tool {
namespace {

class Flag final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override { return is_set; }
  bool is_set = false;
};

class PipedProgramTest : public testing::Test {
 protected:
  void SetUp() override { before_ = std::signal(SIGPIPE, SIG_IGN); }
  void TearDown() override { std::signal(SIGPIPE, before_); }
  Result<std::unique_ptr<PipedProgram>> Shell(const std::string& script, bool is_fed) {
    return PipedProgram::Start({"/bin/sh", "-c", script}, {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                               is_fed, [this](ByteView bytes) {
                                 said_ += AsText(bytes);
                                 flag_.is_set = cancels_;
                                 return refuses_ ? Status(Code::kUnavailable, "away")
                                                 : Status::Ok();
                               });
  }
  std::string said_;
  bool refuses_ = false, cancels_ = false;
  Flag flag_;

 private:
  void (*before_)(int) = SIG_DFL;
};

TEST_F(PipedProgramTest, ItsOutputIsTakenToItsEnd) {
  const auto program = *Shell("head -c 3000000 /dev/zero; echo end", false);
  const Status ended = program->End(flag_);
  EXPECT_TRUE(ended.ok()) << ended.ToString();
  EXPECT_EQ(said_.size(), 3000004U);
  EXPECT_TRUE(said_.ends_with("end\n"));
}

TEST_F(PipedProgramTest, WhatItIsFedComesBackWhileItIsFed) {
  const auto program = *Shell("cat", true);
  const Bytes piece(1U << 20, 'x');
  for (int i = 0; i < 8; i++)
    ASSERT_TRUE(program->Feed(piece, flag_).ok());
  ASSERT_TRUE(program->takes_input());
  EXPECT_TRUE(program->End(flag_).ok());
  EXPECT_EQ(said_.size(), 8U << 20);
}

TEST_F(PipedProgramTest, OneThatReadsNoMoreIsNotWaitedFor) {
  const auto program = *Shell("head -c 10; exec 0</dev/null", true);
  const Bytes piece(1U << 20, 'x');
  for (int i = 0; i < 200 && program->takes_input(); i++)
    ASSERT_TRUE(program->Feed(piece, flag_).ok());
  EXPECT_FALSE(program->takes_input());
  EXPECT_TRUE(program->End(flag_).ok());
  EXPECT_EQ(said_.size(), 10U);
}

TEST_F(PipedProgramTest, ItsFailureHasItsOwnWords) {
  Status failed = (*Shell("echo what went wrong >&2; exit 3", false))->End(flag_);
  EXPECT_EQ(failed.code(), Code::kIo);
  EXPECT_EQ(failed.message(), "sh failed");
  EXPECT_EQ(failed.detail(), "what went wrong");
  failed = (*Shell("echo 'write: No space left on device' >&2; exit 1", false))->End(flag_);
  EXPECT_EQ(failed.code(), Code::kDiskFull);
  failed = (*Shell("echo 'canceling statement due to statement timeout' >&2; exit 1", false))
               ->End(flag_);
  EXPECT_EQ(failed.code(), Code::kLockTimeout);
  failed = (*Shell("kill -9 $$", false))->End(flag_);
  EXPECT_EQ(failed.message(), "sh was ended by signal 9");
}

TEST_F(PipedProgramTest, WhoeverTakesItsOutputMayRefuse) {
  refuses_ = true;
  const auto program = *Shell("echo x; sleep 60", false);
  EXPECT_EQ(program->End(flag_).code(), Code::kUnavailable);
}

TEST_F(PipedProgramTest, ACancelEndsItAndWhatItStarted) {
  cancels_ = true;
  auto program = *Shell("sleep 61 & echo $!; wait", false);
  EXPECT_EQ(program->End(flag_).code(), Code::kCancelled);
  program.reset();
  const pid_t started = std::atoi(said_.c_str());
  ASSERT_GT(started, 0) << said_;
  for (int i = 0; i < 200 && MarkOfProcess(started); i++)
    ::poll(nullptr, 0, 10);
  EXPECT_FALSE(MarkOfProcess(started).has_value());
}

}  // namespace
}  // namespace pitr::tool
