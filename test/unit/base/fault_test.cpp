#include "core/base/fault.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

TEST(FaultTest, NamesAreSortedAndUnique) {
  const std::vector<std::string_view> points = FaultPoints();
  EXPECT_TRUE(std::is_sorted(points.begin(), points.end()));
  EXPECT_EQ(std::adjacent_find(points.begin(), points.end()), points.end());
}

#ifdef PITR_FAULTS

// Any point will do: the process under test is a child, so that its count of visits starts at zero.
class FaultPointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (FaultPoints().empty()) {
      GTEST_SKIP() << "no fault points yet";
    }
    point_ = std::string(FaultPoints().front());
    ASSERT_EQ(::setenv("PITR_FAULT_FILE", (dir_ / "faults").c_str(), 1), 0);
  }
  void TearDown() override { ::unsetenv("PITR_FAULT_FILE"); }

  void Arm(const std::string& lines) {
    ASSERT_TRUE(WriteFileDurably(dir_ / "faults", AsBytes(lines)).ok());
  }
  // Runs `body` in a child and gives its wait status; `body` answers the exit code.
  template <typename Body>
  pid_t Start(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::_exit(body());
    }
    return pid;
  }
  static int WaitFor(pid_t pid) {
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }
  // One letter per visit: o(k), e(rror), f(ull).
  std::string Visit(int times) {
    std::string seen;
    for (int i = 0; i < times; i++) {
      const Code code = HitFault(point_.c_str()).code();
      seen += code == Code::kOk ? 'o' : code == Code::kDiskFull ? 'f' : 'e';
    }
    return seen;
  }

  TempDir dir_;
  std::string point_;
};

TEST_F(FaultPointTest, DoesNothingWithoutTheVariableTheFileOrALine) {
  EXPECT_EQ(Visit(2), "oo");
  Arm("");
  EXPECT_EQ(Visit(2), "oo");
  Arm("# a comment\n" + point_ + ".other error\n");
  EXPECT_EQ(Visit(2), "oo");
  Arm(point_ + " error\n");
  ::unsetenv("PITR_FAULT_FILE");
  EXPECT_EQ(Visit(2), "oo");
}

TEST_F(FaultPointTest, ReturnsErrorsUntilDisarmed) {
  Arm(point_ + " error\n");
  const Status status = HitFault(point_.c_str());
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_EQ(status.message(), "injected fault at " + point_);
  EXPECT_TRUE(HitFaultPlain(point_.c_str()));
  Arm(point_ + " enospc");
  EXPECT_EQ(Visit(2), "ff");
  EXPECT_TRUE(HitFaultPlain(point_.c_str()));
  ASSERT_TRUE(RemoveFile(dir_ / "faults").ok());
  EXPECT_EQ(Visit(1), "o");
  EXPECT_FALSE(HitFaultPlain(point_.c_str()));
}

TEST_F(FaultPointTest, PassesOverTheFirstVisitsOfAProcess) {
  EXPECT_EQ(Visit(5), "ooooo");  // those of the parent do not count for the child
  Arm(point_ + " error 2\n" + point_ + " enospc 1\n");
  const int status = WaitFor(Start([this] { return Visit(4) == "ofee" ? 0 : 1; }));
  EXPECT_EQ(status, 0);
}

TEST_F(FaultPointTest, KeepsErrno) {
  Arm(point_ + " error\n");
  errno = EAGAIN;
  EXPECT_TRUE(HitFaultPlain(point_.c_str()));
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(FaultPointTest, KillsOrExitsTheProcess) {
  Arm(point_ + " kill\n");
  int status = WaitFor(Start([this] { return Visit(1) == "o" ? 0 : 1; }));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  Arm(point_ + " exit2 1\n");
  status = WaitFor(Start([this] { return Visit(2) == "oo" ? 0 : 1; }));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

TEST_F(FaultPointTest, StopsUntilTheLineIsGone) {
  Arm(point_ + " stop\n");
  const pid_t pid = Start([this] { return Visit(1) == "o" ? 7 : 1; });
  ::usleep(100 * 1000);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, WNOHANG), 0);
  Arm("");
  status = WaitFor(pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

TEST_F(FaultPointTest, AbortsAtALineItDoesNotUnderstand) {
  for (const char* words : {" explode\n", " error many\n", " error -1\n", "\n"}) {
    Arm(point_ + words);
    const int status = WaitFor(Start([this] { return Visit(1) == "o" ? 0 : 1; }));
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << words;
  }
  Arm(point_ + " expl");  // without its newline it is still being written
  EXPECT_EQ(Visit(1), "o");
}

TEST(FaultDeathTest, AbortsAtANameThatIsNotListed) {
  EXPECT_DEATH((void)HitFault("no.such.point"), "unknown fault point \"no.such.point\"");
  EXPECT_DEATH((void)HitFaultPlain(""), "unknown fault point");
}

#endif

}  // namespace
}  // namespace pitr
