// A process is called gone only when that is certain.
#include "core/base/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace pitr {
namespace {

// "<boot> <namespace> <pid> <start>" with another pid and start.
std::string With(const std::string& mark, const std::string& pid, const std::string& start) {
  const std::size_t last = mark.rfind(' ');
  return mark.substr(0, mark.rfind(' ', last - 1) + 1) + pid + " " + start;
}

TEST(ProcessMark, TellsALivingProcessFromOneThatIsGone) {
  const std::string own = OwnProcessMark();
  ASSERT_FALSE(own.empty());
  EXPECT_FALSE(IsProcessGone(own));
  const std::string pid = std::to_string(::getpid());
  EXPECT_TRUE(IsProcessGone(With(own, pid, std::to_string(ProcessStart(::getpid()) - 1))))
      << "the pid was used again";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const std::string mark = With(own, std::to_string(child), std::to_string(ProcessStart(child)));
  EXPECT_FALSE(IsProcessGone(mark));
  ::kill(child, SIGKILL);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(IsProcessGone(mark)) << "dead, and nobody has asked for its status";
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(IsProcessGone(mark));
  EXPECT_EQ(ProcessStart(child), 0U);
}

TEST(ProcessMark, OfAnotherPlaceOrUnreadableIsNeverGone) {
  const std::string gone = With(OwnProcessMark(), std::to_string(::getpid()), "1");
  ASSERT_TRUE(IsProcessGone(gone));
  EXPECT_FALSE(IsProcessGone("x" + gone)) << "another boot";
  std::string elsewhere = gone;
  elsewhere.insert(elsewhere.find(']'), "9");
  EXPECT_FALSE(IsProcessGone(elsewhere)) << "another container";
  for (const char* end : {"", " ", "x", " 1x", " 1 "}) {
    EXPECT_FALSE(IsProcessGone(gone.substr(0, gone.rfind(' ')) + end)) << end;
  }
  EXPECT_FALSE(IsProcessGone(""));
  EXPECT_FALSE(IsProcessGone(" "));
  EXPECT_FALSE(IsProcessGone(With(gone, "-1", "1")));
}

TEST(MarkOfProcess, NamesOneProcessUntilItEnds) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto mark = MarkOfProcess(child);
  ASSERT_TRUE(mark.has_value());
  EXPECT_TRUE(IsAlive(*mark));
  EXPECT_FALSE(IsAlive({mark->pid, mark->start + 1})) << "a later process with the same pid";
  ::kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(IsAlive(*mark)) << "a zombie does nothing any more";
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(IsAlive(*mark));
  EXPECT_FALSE(MarkOfProcess(0).has_value());
}

TEST(MarkOfProcess, IsReadAsItWasWritten) {
  const auto mark = MarkOfProcess(::getpid());
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(ParseMark(FormatMark(*mark)), mark);
  for (const char* bad : {"", "1", "1:", ":1", "1:x", "x:1", "-1:1", "0:1", "1:1 "}) {
    EXPECT_FALSE(ParseMark(bad).has_value()) << bad;
  }
}

TEST(Process, VariablesAreThoseItWasStartedWith) {
  const char* path = std::getenv("PATH");
  ASSERT_NE(path, nullptr);
  EXPECT_EQ(VariableOfProcess(::getpid(), "PATH"), path);
  EXPECT_FALSE(VariableOfProcess(::getpid(), "PAT").has_value());
}

}  // namespace
}  // namespace pitr
