#include "core/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

std::string Content(const std::string& path) {
  const Result<std::string> text = ReadTextFile(path, 1U << 20);
  return text.ok() ? *text : text.status().ToString();
}

TEST(FileTest, WritesAndReadsAtOffsets) {
  const TempDir dir;
  Result<File> file = File::Open(dir / "f", O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->WriteAll(AsBytes("hello ")).ok());
  EXPECT_TRUE(file->WriteAll(AsBytes("world")).ok());
  EXPECT_TRUE(file->WriteAt(0, AsBytes("J")).ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(*file->Size(), 11U);
  char buffer[8];
  EXPECT_EQ(*file->ReadAt(6, buffer, 4), 4U);
  EXPECT_EQ(std::string_view(buffer, 4), "worl");
  EXPECT_EQ(*file->ReadAt(9, buffer, 8), 2U);
  EXPECT_EQ(*file->ReadAt(100, buffer, 8), 0U);
  EXPECT_EQ(Content(dir / "f"), "Jello world");
}

TEST(FileTest, ClosesItsDescriptorOnceAndMovesIt) {
  const TempDir dir;
  int fd = -1;
  {
    File file = *File::Open(dir / "f", O_RDWR | O_CREAT);
    fd = file.fd();
    File other = std::move(file);
    EXPECT_FALSE(file.is_open());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(other.fd(), fd);
    File third;
    third = std::move(other);
    EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST(FileTest, SaysNotFoundForAnAbsentPath) {
  const TempDir dir;
  EXPECT_EQ(File::Open(dir / "no", O_RDONLY).status().code(), Code::kNotFound);
  EXPECT_EQ(ReadFile(dir / "no", 10).status().code(), Code::kNotFound);
  EXPECT_EQ(ListDirectory(dir / "no").status().code(), Code::kNotFound);
  EXPECT_EQ(FreeSpace(dir / "no").status().code(), Code::kNotFound);
}

TEST(FileTest, ErrorsOfADescriptorNameItsPath) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "f", {}).ok());
  File file = *File::Open(dir / "f", O_RDONLY);
  const Status status = file.WriteAll(AsBytes("x"));
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find(dir / "f"), std::string::npos) << status.message();
}

TEST(FileTest, AFullDiskHasItsOwnCode) {
  Result<File> file = File::Open("/dev/full", O_WRONLY);
  if (!file.ok()) {
    GTEST_SKIP() << "no /dev/full";
  }
  EXPECT_EQ(file->WriteAll(AsBytes("x")).code(), Code::kDiskFull);
}

TEST(FileTest, ReadsAWholeFileUpToItsCap) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "f", AsBytes("12345")).ok());
  EXPECT_EQ(AsText(*ReadFile(dir / "f", 5)), "12345");
  EXPECT_EQ(ReadFile(dir / "f", 4).status().code(), Code::kLimit);
  ASSERT_TRUE(WriteFileDurably(dir / "empty", {}).ok());
  EXPECT_EQ(*ReadTextFile(dir / "empty", 0), "");
}

TEST(FileTest, ReadsFilesThatDoNotTellTheirSize) {
  const Result<std::string> text = ReadTextFile("/proc/self/maps", 16U << 20);
  ASSERT_TRUE(text.ok());
  EXPECT_GT(text->size(), 100U);
  EXPECT_EQ(ReadTextFile("/proc/self/maps", 100).status().code(), Code::kLimit);
}

TEST(FileTest, DurableWriteReplacesTheFileAndLeavesNothingBeside) {
  const TempDir dir;
  const std::string path = dir / "f";
  ASSERT_TRUE(WriteFileDurably(path, AsBytes("old and long")).ok());
  // What a crashed process with our pid left.
  const std::string stale = dir / (".f.tmp." + std::to_string(::getpid()));
  ASSERT_EQ(::symlink("f", stale.c_str()), 0);
  ASSERT_TRUE(WriteFileDurably(path, AsBytes("new"), 0640).ok());
  EXPECT_EQ(Content(path), "new");
  struct stat st = {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0707U, 0600U);
  EXPECT_EQ(*ListDirectory(dir.path()), std::vector<std::string>{"f"});
}

TEST(FileTest, FailedDurableWriteKeepsTheOldContentAndLeavesNothingBeside) {
  const TempDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "d/inside").ok());
  EXPECT_FALSE(WriteFileDurably(dir / "d", AsBytes("x")).ok());  // a directory is in the way
  EXPECT_EQ(*ListDirectory(dir.path()), std::vector<std::string>{"d"});
  EXPECT_TRUE(PathExists(dir / "d/inside"));
  EXPECT_EQ(WriteFileDurably(dir / "no/f", AsBytes("x")).code(), Code::kNotFound);
}

TEST(FileTest, MakesAllDirectoriesOfAPathAgainAndAgain) {
  const TempDir dir;
  for (int i = 0; i < 2; i++) {
    EXPECT_TRUE(MakeDirectories(dir / "a/b/c//d/").ok());
  }
  EXPECT_TRUE(PathExists(dir / "a/b/c/d"));
  EXPECT_TRUE(MakeDirectories("/").ok());
  EXPECT_TRUE(MakeDirectories(".").ok());
}

TEST(FileTest, AFileInTheWayOfADirectoryIsAnError) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "f", {}).ok());
  EXPECT_EQ(MakeDirectories(dir / "f").code(), Code::kIo);
  EXPECT_EQ(MakeDirectories(dir / "f/g").code(), Code::kIo);
  EXPECT_FALSE(MakeDirectories("").ok());
}

TEST(FileTest, ListsNamesSorted) {
  const TempDir dir;
  for (const char* name : {"b", "a", ".hidden", "B"}) {
    ASSERT_TRUE(WriteFileDurably(dir / name, {}).ok());
  }
  EXPECT_EQ(*ListDirectory(dir.path()), (std::vector<std::string>{".hidden", "B", "a", "b"}));
}

TEST(FileTest, RemovesTreesWithoutFollowingLinks) {
  const TempDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "tree/sub").ok());
  ASSERT_TRUE(MakeDirectories(dir / "kept").ok());
  ASSERT_TRUE(WriteFileDurably(dir / "kept/f", AsBytes("x")).ok());
  ASSERT_EQ(::symlink((dir / "kept").c_str(), (dir / "tree/sub/link").c_str()), 0);
  EXPECT_TRUE(RemoveTree(dir / "tree").ok());
  EXPECT_FALSE(PathExists(dir / "tree"));
  EXPECT_EQ(Content(dir / "kept/f"), "x");
  EXPECT_TRUE(RemoveTree(dir / "tree").ok());
}

TEST(FileTest, TwoRemoveTheSameTreeAtOnce) {
  const TempDir dir;
  for (int folder = 0; folder < 20; folder++) {
    const std::string path = dir / ("tree/" + std::to_string(folder));
    ASSERT_TRUE(MakeDirectories(path).ok());
    for (int file = 0; file < 200; file++) {
      ASSERT_TRUE(File::Open(path + "/" + std::to_string(file), O_WRONLY | O_CREAT, 0600).ok());
    }
  }
  Status other;
  std::thread thread([&] { other = RemoveTree(dir / "tree"); });
  const Status status = RemoveTree(dir / "tree");
  thread.join();
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(other.ok()) << other.ToString();
  EXPECT_FALSE(PathExists(dir / "tree"));
}

TEST(FileTest, RemovesFilesAndIsContentWhenThereIsNone) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "f", {}).ok());
  EXPECT_TRUE(RemoveFile(dir / "f").ok());
  EXPECT_FALSE(PathExists(dir / "f"));
  EXPECT_TRUE(RemoveFile(dir / "f").ok());
  EXPECT_FALSE(RemoveFile(dir.path()).ok());
}

TEST(FileTest, SeesLinksThatPointNowhere) {
  const TempDir dir;
  ASSERT_EQ(::symlink("nowhere", (dir / "link").c_str()), 0);
  EXPECT_TRUE(PathExists(dir / "link"));
  EXPECT_FALSE(PathExists(dir / "nowhere"));
}

TEST(PathTest, JoinsWithOneSlash) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
}

TEST(PathTest, SplitsIntoDirectoryAndBaseName) {
  struct Case {
    const char *path, *directory, *base;
  };
  for (const Case& c :
       {Case{"a/b", "a", "b"}, Case{"/a", "/", "a"}, Case{"a", ".", "a"}, Case{"/", "/", "/"},
        Case{"//", "/", "/"}, Case{"", ".", ""}, Case{"a/b/", "a", "b"}, Case{"a//b", "a", "b"},
        Case{"/a//", "/", "a"}, Case{"a/", ".", "a"}, Case{"//a/b/c", "//a/b", "c"}}) {
    EXPECT_EQ(DirectoryName(c.path), c.directory) << c.path;
    EXPECT_EQ(BaseName(c.path), c.base) << c.path;
  }
}

TEST(FileTest, KnowsTheFreeSpace) {
  const TempDir dir;
  const Result<std::uint64_t> space = FreeSpace(dir.path());
  ASSERT_TRUE(space.ok());
  EXPECT_GT(*space, 0U);
}

}  // namespace
}  // namespace pitr
