#include "core/work/disk_usage.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

std::uint64_t Blocks(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

void WriteFile(const std::string& path, std::size_t size) {
  const Status status = WriteFileDurably(path, Bytes(size, 'x'));
  ASSERT_TRUE(status.ok()) << status.ToString();
}

std::optional<std::uint64_t> Measure(const std::string& directory, std::size_t step) {
  DiskUsage usage(directory);
  while (!usage.Advance(step)) {
  }
  return usage.bytes();
}

class DiskUsageTest : public ::testing::Test {
 protected:
  // Two levels, three files, of which one lies outside by a link.
  void SetUp() override {
    ASSERT_EQ(::mkdir((dir_ / "data").c_str(), 0700), 0);
    ASSERT_EQ(::mkdir((dir_ / "data/base").c_str(), 0700), 0);
    ASSERT_EQ(::mkdir((dir_ / "data/empty").c_str(), 0700), 0);
    WriteFile(dir_ / "data/one", 100'000);
    WriteFile(dir_ / "data/base/two", 50'000);
    WriteFile(dir_ / "outside", 70'000);
    ASSERT_EQ(::symlink((dir_ / "outside").c_str(), (dir_ / "data/link").c_str()), 0);
    for (const char* name :
         {"data", "data/base", "data/empty", "data/one", "data/base/two", "data/link"}) {
      expected_ += Blocks(dir_ / name);
    }
    ASSERT_GE(expected_, 150'000U);
  }

  TempDir dir_;
  std::uint64_t expected_ = 0;
};

TEST_F(DiskUsageTest, IsTheSumOfBlocksOfEverythingBelow) {
  EXPECT_EQ(Measure(dir_ / "data", 1'000'000), expected_);
}

TEST_F(DiskUsageTest, IsTheSameInStepsOfOne) { EXPECT_EQ(Measure(dir_ / "data", 1), expected_); }

TEST_F(DiskUsageTest, AStepLooksAtNoMoreThanItMay) {
  DiskUsage usage(dir_ / "data");
  int steps = 0;
  while (!usage.Advance(1))
    steps++;
  EXPECT_GE(steps, 6);  // as many as there are names, and the directory itself
}

TEST_F(DiskUsageTest, HolesTakeNothing) {
  ASSERT_EQ(::truncate((dir_ / "data/one").c_str(), 1 << 30), 0);
  const auto measured = Measure(dir_ / "data", 10);
  ASSERT_TRUE(measured.has_value());
  EXPECT_LT(*measured, expected_ + (1U << 20));
}

TEST_F(DiskUsageTest, NothingIsKnownOfADirectoryThatIsNotThere) {
  EXPECT_EQ(Measure(dir_ / "absent", 10), std::nullopt);
}

TEST_F(DiskUsageTest, ADirectoryThatGoesMeanwhileIsLeftOut) {
  DiskUsage usage(dir_ / "data");
  ASSERT_FALSE(usage.Advance(1));
  const std::uint64_t gone = Blocks(dir_ / "data/base") + Blocks(dir_ / "data/base/two");
  ASSERT_TRUE(RemoveTree(dir_ / "data/base").ok());
  while (!usage.Advance(1)) {
  }
  ASSERT_TRUE(usage.bytes().has_value());
  EXPECT_LE(*usage.bytes(), expected_);
  EXPECT_GE(*usage.bytes(), expected_ - gone);
}

}  // namespace
}  // namespace pitr
