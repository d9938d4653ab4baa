#include "core/work/living_server.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

// A process that works in `directory` and whose program is called `name`.
class Process {
 public:
  Process(const std::string& name, const std::string& directory, const std::string& programs) {
    const std::string program = JoinPath(programs, name);
    const auto sleep = ReadFile("/bin/sleep", 16U << 20);
    EXPECT_TRUE(sleep.ok());
    EXPECT_TRUE(WriteFileLoosely(program, *sleep, 0700).ok());
    pid_ = ::fork();
    if (pid_ == 0) {
      if (::chdir(directory.c_str()) == 0) {
        ::execl(program.c_str(), program.c_str(), "60", nullptr);
      }
      ::_exit(127);
    }
    while (BaseName(Link("exe")) != name) {
      ::usleep(1000);
    }
  }
  ~Process() { End(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool IsRunning() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }
  int End() {
    int status = 0;
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
    }
    pid_ = 0;
    return status;
  }

 private:
  std::string Link(const char* what) const {
    char text[4096];
    const std::string path = "/proc/" + std::to_string(pid_) + "/" + what;
    const ssize_t size = ::readlink(path.c_str(), text, sizeof text);
    return size <= 0 ? std::string() : std::string(text, static_cast<std::size_t>(size));
  }
  pid_t pid_;
};

class LivingServerTest : public ::testing::Test {
 protected:
  void WritePidFile(pid_t pid) {
    const std::string text = std::to_string(pid) + "\n" + dir_.path() +
                             "\n1700000000\n6000\n/tmp\n\n  1234  5\nready   \n";
    ASSERT_TRUE(WriteFileLoosely(dir_ / "postmaster.pid", AsBytes(text)).ok());
  }
  TempDir dir_, programs_;
};

TEST_F(LivingServerTest, IsAPostgresThatWorksInTheDirectory) {
  EXPECT_FALSE(LivingServer(dir_.path()).has_value()) << "no file";
  Process server("postgres", dir_.path(), programs_.path());
  WritePidFile(server.pid());
  EXPECT_EQ(LivingServer(dir_.path()), server.pid());
  EXPECT_EQ(ServerWord(dir_.path()), "ready");
  server.End();
  EXPECT_FALSE(LivingServer(dir_.path()).has_value()) << "it is gone";
}

TEST_F(LivingServerTest, StrangersAreNotSignalled) {
  Process elsewhere("postgres", "/", programs_.path());
  WritePidFile(elsewhere.pid());
  EXPECT_FALSE(*SignalServer(dir_.path(), SIGKILL)) << "another directory's server";
  EXPECT_TRUE(elsewhere.IsRunning());

  Process other("editor", dir_.path(), programs_.path());
  WritePidFile(other.pid());
  EXPECT_FALSE(*SignalServer(dir_.path(), SIGKILL)) << "somebody who looks around there";
  EXPECT_TRUE(other.IsRunning());
}

TEST_F(LivingServerTest, ItsServerIsSignalled) {
  Process server("postgres", dir_.path(), programs_.path());
  WritePidFile(server.pid());
  const auto signalled = SignalServer(dir_.path(), SIGTERM);
  ASSERT_TRUE(signalled.ok()) << signalled.status().ToString();
  EXPECT_TRUE(*signalled);
  int status = 0;
  ASSERT_EQ(::waitpid(server.pid(), &status, 0), server.pid());
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

}  // namespace
}  // namespace pitr
