#include "core/base/command.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/bytes.h"
#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr std::int64_t kPatienceMs = 20'000;

struct Ran {
  Status status;
  std::string out;
  std::int64_t took_ms = 0;
};

Ran Try(const std::string& command, std::int64_t timeout_ms = kPatienceMs, std::size_t room = 64) {
  Bytes out(room);
  const std::int64_t began = SystemClock().MonotonicMillis();
  const Result<std::size_t> size = RunShellCommand(command, timeout_ms, out);
  Ran ran;
  ran.took_ms = SystemClock().MonotonicMillis() - began;
  ran.status = size.ok() ? Status() : size.status();
  ran.out = size.ok() ? std::string(AsText(ByteView(out).first(*size))) : "";
  return ran;
}

TEST(RunShellCommandTest, GivesWhatItPrints) {
  const Ran ran = Try("printf one; sleep 0.05; echo two | tr o 0");
  EXPECT_TRUE(ran.status.ok()) << ran.status.ToString();
  EXPECT_EQ(ran.out, "onetw0\n");
  EXPECT_EQ(Try("true").out, "");
  EXPECT_EQ(Try("cat").out, "") << "nothing on standard input";
  EXPECT_EQ(Try("printf %064d 7").out.size(), 64U);
}

TEST(RunShellCommandTest, MoreThanFitsIsALimit) {
  EXPECT_EQ(Try("printf %065d 7").status.code(), Code::kLimit);
  const Ran endless = Try("yes");
  EXPECT_EQ(endless.status.code(), Code::kLimit);
  EXPECT_LT(endless.took_ms, kPatienceMs);
}

TEST(RunShellCommandTest, FailureSaysHowAndNotWhat) {
  const Ran failed = Try("echo secret; exit 3");
  EXPECT_EQ(failed.status.code(), Code::kIo);
  EXPECT_NE(failed.status.message().find("status 3"), std::string::npos);
  EXPECT_EQ(failed.status.ToString().find("secret"), std::string::npos);
  EXPECT_NE(Try("kill -9 $$").status.message().find("signal 9"), std::string::npos);
  EXPECT_NE(Try("no-such-program 2>/dev/null").status.message().find("127"), std::string::npos);
}

TEST(RunShellCommandTest, EndsWithItsTime) {
  const TempDir directory;
  const std::string mark = directory / "later";
  const Ran ran = Try("sleep 2; touch " + mark, 200);
  EXPECT_EQ(ran.status.code(), Code::kUnavailable);
  EXPECT_LT(ran.took_ms, 1500);
  // One that closes its output and goes on is waited for as well.
  const Ran quiet = Try("exec >&-; sleep 2", 200);
  EXPECT_EQ(quiet.status.code(), Code::kUnavailable);
  EXPECT_LT(quiet.took_ms, 1500);
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_FALSE(PathExists(mark)) << "the command outlived the call";
}

TEST(RunShellCommandTest, WhatItLeftInTheBackgroundEndsWithIt) {
  const TempDir directory;
  const std::string mark = directory / "later";
  const Ran ran = Try("(sleep 0.5; touch " + mark + ") >/dev/null 2>&1 & echo done");
  EXPECT_EQ(ran.out, "done\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(900));
  EXPECT_FALSE(PathExists(mark));
}

class Cancelled final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override { return true; }
};

TEST(RunShellCommandTest, EndsWhenTheProcessIsToStop) {
  EXPECT_FALSE(IsProcessCancelled());
  const Cancelled token;
  SetProcessCancel(&token);
  EXPECT_TRUE(IsProcessCancelled());
  const Ran ran = Try("sleep 10");
  SetProcessCancel(nullptr);
  EXPECT_EQ(ran.status.code(), Code::kCancelled);
  EXPECT_LT(ran.took_ms, 1000);
}

TEST(RunShellCommandTest, SeesNoDescriptorOfOurs) {
  const Result<File> file = File::Open("/dev/null", 0);
  ASSERT_TRUE(file.ok());
  const Ran ran = Try("ls /proc/self/fd | tr '\\n' ' '");
  // 3 is the directory that ls reads.
  EXPECT_EQ(ran.out, "0 1 2 3 ");
}

Status EndOf(BackgroundCommand* command, std::int64_t timeout_ms = kPatienceMs) {
  for (;;) {
    const std::optional<Status> end = command->Look(timeout_ms);
    if (end) return *end;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(BackgroundCommandTest, GetsItsInputAndSaysHowItEnded) {
  TempDir dir;
  const std::string out = dir.path() + "/out";
  const std::string text = "{\"message\":\"$(touch no) `touch no` ' \\\" é\"}\n";
  BackgroundCommand command;
  ASSERT_TRUE(command.Start("cat > " + out, text).ok());
  EXPECT_TRUE(command.IsRunning());
  EXPECT_TRUE(EndOf(&command).ok());
  EXPECT_FALSE(command.IsRunning());
  EXPECT_EQ(*ReadTextFile(out, 1000), text);
  ASSERT_TRUE(command.Start("exit 3", text).ok());
  EXPECT_NE(EndOf(&command).message().find("status 3"), std::string::npos);
}

TEST(BackgroundCommandTest, InputThatNobodyReadsIsNoHarm) {
  BackgroundCommand command;
  ASSERT_TRUE(command.Start("true", std::string(BackgroundCommand::kMaxInput, 'x')).ok());
  EXPECT_TRUE(EndOf(&command).ok());
  EXPECT_EQ(command.Start("true", std::string(BackgroundCommand::kMaxInput + 1, 'x')).code(),
            Code::kLimit);
}

TEST(BackgroundCommandTest, EndsWithItsTimeAndWithItsOwner) {
  TempDir dir;
  const std::string mark = dir.path() + "/mark";
  {
    BackgroundCommand command;
    ASSERT_TRUE(command.Start("sleep 100; touch " + mark, "").ok());
    EXPECT_EQ(EndOf(&command, 50).code(), Code::kUnavailable);
    ASSERT_TRUE(command.Start("sleep 0.2; touch " + mark, "").ok());
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_FALSE(PathExists(mark));
}

}  // namespace
}  // namespace pitr
