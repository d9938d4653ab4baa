// The program is no library, so its test compiles the source into itself.
#include "tool/held.cpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "unit/support/temp_dir.h"

namespace pitr::tool {
namespace {

// A process with a directory for sockets, which tells its path and waits.
class Holder {
 public:
  Holder() {
    int ends[2] = {};
    EXPECT_EQ(::pipe(ends), 0);
    child_ = ::fork();
    if (child_ == 0) {
      Result<SocketDirectory> made = SocketDirectory::Make();
      const std::string path = made.ok() ? made->path() : made.status().ToString();
      const ssize_t told = ::write(ends[1], path.data(), path.size());
      ::close(ends[1]);
      if (told > 0) ::pause();
      ::_exit(1);
    }
    ::close(ends[1]);
    char text[256] = {};
    EXPECT_GT(::read(ends[0], text, sizeof text - 1), 0);
    ::close(ends[0]);
    path_ = text;
  }
  ~Holder() { Kill(); }
  void Kill() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    child_ = 0;
  }
  const std::string& path() const { return path_; }

 private:
  pid_t child_ = 0;
  std::string path_;
};

TEST(SocketDirectory, OneThatAKilledProcessLeftIsRemovedByTheNext) {
  Holder living, killed;
  killed.Kill();
  std::string own;
  {
    Result<SocketDirectory> made = SocketDirectory::Make();
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    const SocketDirectory moved = std::move(*made);
    own = moved.path();
    EXPECT_TRUE(PathExists(own));
    EXPECT_FALSE(PathExists(killed.path()));
    EXPECT_TRUE(PathExists(living.path())) << "its process lives";
  }
  EXPECT_FALSE(PathExists(own));
}

TEST(Hold, IsOfOneAtATimeAndOfWhatTheNameLeadsTo) {
  const TempDir dir;
  const std::string path = dir / "held";
  EXPECT_EQ(Hold(path).status().code(), Code::kNotFound);
  ASSERT_TRUE(WriteFileLoosely(path, AsBytes("x")).ok());
  Result<std::optional<File>> first = Hold(path);
  ASSERT_TRUE(first.ok() && *first);
  Result<std::optional<File>> second = Hold(path);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(*second);
  first->reset();
  second = Hold(path);
  EXPECT_TRUE(second.ok() && *second);
}

}  // namespace
}  // namespace pitr::tool
