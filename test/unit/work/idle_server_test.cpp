#include "core/work/idle_server.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class IdleServerTest : public ::testing::Test {
 protected:
  IdleServerTest() { EXPECT_TRUE(MakeDirectories(dir_ / "pitr").ok()); }
  // A process whose command line looks like that of a holder of `directory`; it writes itself into the file.
  pid_t Holder(const std::string& directory) {
    const pid_t child = ::fork();
    if (child == 0) {
      (void)!BecomeHolder(dir_.path()).ok();
      ::execl("/bin/sh", "sh", "-c", "while :; do sleep 1; done", "compute", "--directory",
              directory.c_str(), nullptr);
      ::_exit(127);
    }
    children_.push_back(child);
    for (int i = 0; i < 5000; i++) {
      const auto words = ReadTextFile("/proc/" + std::to_string(child) + "/cmdline", 10000);
      if (words.ok() && words->starts_with("sh")) break;
      ::usleep(1000);
    }
    return child;
  }
  ~IdleServerTest() override {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
  }
  TempDir dir_;
  std::vector<pid_t> children_;
};

TEST_F(IdleServerTest, IsHeldByTheProcessInTheFile) {
  EXPECT_FALSE(LivingHolder(dir_.path()).has_value());
  ASSERT_TRUE(AskToBeHeld(dir_.path()).ok());
  EXPECT_FALSE(LivingHolder(dir_.path()).has_value()) << "nobody does yet";
  EXPECT_FALSE(IsToBeHeld(dir_.path())) << "its control file does not say that it was shut down";
  const pid_t holder = Holder(dir_.path());
  EXPECT_EQ(LivingHolder(dir_.path()), holder);
  EXPECT_TRUE(*SignalHolder(dir_.path(), SIGKILL));
  int status = 0;
  ::waitpid(holder, &status, 0);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  children_.clear();
  EXPECT_FALSE(LivingHolder(dir_.path()).has_value());
  EXPECT_FALSE(*SignalHolder(dir_.path(), SIGKILL));
  ASSERT_TRUE(ForgetIdle(dir_.path()).ok());
}

TEST_F(IdleServerTest, AStrangerIsNotTakenForIt) {
  const pid_t stranger = Holder("/elsewhere");
  EXPECT_FALSE(LivingHolder(dir_.path()).has_value());
  EXPECT_FALSE(*SignalHolder(dir_.path(), SIGKILL));
  EXPECT_EQ(::waitpid(stranger, nullptr, WNOHANG), 0) << "it lives";
}

TEST_F(IdleServerTest, OneAtATimeDecides) {
  {
    const auto first = TryLockStart(dir_.path());
    ASSERT_TRUE(first.ok() && first->is_open());
    const auto second = TryLockStart(dir_.path());
    EXPECT_TRUE(second.ok() && !second->is_open());
  }
  EXPECT_TRUE(TryLockStart(dir_.path())->is_open());
  EXPECT_EQ(TryLockStart(dir_ / "gone").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace pitr
