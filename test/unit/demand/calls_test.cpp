#include "core/demand/calls.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/demand/path.h"
#include "unit/support/demand_maker.h"

namespace pitr::demand {
namespace {

constexpr char kTable[] = "base/5/16385";

class DemandCalls : public ::testing::Test {
 protected:
  DemandCalls() {
    char here[4096];
    before_ = ::getcwd(here, sizeof here);
    maker_.Relation(kTable, 2, 100);
    maker_.Relation("base/5/16386", 3, 40);
    maker_.Finish();
    EXPECT_TRUE(WriteFileLoosely(maker_.Path("global/pg_control"), AsBytes("control")).ok());
    EXPECT_EQ(::chdir(maker_.data().c_str()), 0);
    Reopen();
  }
  ~DemandCalls() override {
    UseDirectory(nullptr);
    WatchFsyncSetting(nullptr);
    SyncOnlyWhatIsMapped(false);
    EXPECT_EQ(::chdir(before_.c_str()), 0);
  }
  void Reopen() {
    UseDirectory(nullptr);
    directory_ = maker_.Open();
    UsePaths(maker_.data().c_str(), maker_.data().c_str(), {});
    UseDirectory(directory_.get());
  }
  std::uint64_t AbsentPages() const { return directory_->AbsentBytes() / kPageBytes; }
  Bytes ReadPage(int fd, std::uint32_t page) {
    Bytes bytes(kPageBytes);
    EXPECT_EQ(calls::Pread(fd, bytes.data(), bytes.size(), off_t{page} * kPageBytes),
              static_cast<ssize_t>(kPageBytes));
    return bytes;
  }

  DemandMaker maker_;
  std::string before_;
  std::unique_ptr<Directory> directory_;
};

TEST_F(DemandCalls, EveryWayToReadLoads) {
  const std::string absolute = maker_.Path(kTable);
  Bytes bytes(2 * kPageBytes);
  const int fd = calls::Open(kTable, O_RDONLY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ReadPage(fd, 70), DemandMaker::Page(2, 70)) << "through a descriptor for reading only";
  EXPECT_EQ(AbsentPages(), 108U);
  const iovec parts[] = {{bytes.data(), kPageBytes}, {bytes.data() + kPageBytes, kPageBytes}};
  EXPECT_EQ(calls::Preadv(fd, parts, 2, 31 * off_t{kPageBytes}), 2 * ssize_t{kPageBytes});
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + kPageBytes), DemandMaker::Page(2, 31));
  EXPECT_EQ(Bytes(bytes.begin() + kPageBytes, bytes.end()), DemandMaker::Page(2, 32));
  EXPECT_EQ(calls::Close(fd), 0);
  for (const std::string& path :
       std::vector<std::string>{"./" + std::string(kTable), absolute, ".//./base/5/16386"}) {
    Reopen();
    const int other = calls::Open(path.c_str(), O_RDWR);
    ASSERT_GE(other, 0) << path;
    EXPECT_EQ(calls::Read(other, bytes.data(), 10), 10);
    EXPECT_EQ(AbsentPages(), 108U) << path;
    EXPECT_EQ(::lseek(other, 0, SEEK_CUR), 10);
    EXPECT_EQ(calls::Close(other), 0);
  }
  const int plain = calls::Open("global/pg_control", O_RDONLY);
  EXPECT_EQ(calls::Read(plain, bytes.data(), 7), 7);
  EXPECT_EQ(calls::Close(plain), 0);
  EXPECT_EQ(calls::Open("base/5/99", O_RDONLY), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(DemandCalls, AStreamLoadsTheWholeFile) {
  std::FILE* stream = calls::Fopen(kTable, "r");
  ASSERT_NE(stream, nullptr);
  Bytes bytes(kPageBytes);
  ASSERT_EQ(std::fseek(stream, 99 * kPageBytes, SEEK_SET), 0);
  EXPECT_EQ(std::fread(bytes.data(), 1, bytes.size(), stream), bytes.size());
  EXPECT_EQ(bytes, DemandMaker::Page(2, 99));
  std::fclose(stream);
  EXPECT_EQ(AbsentPages(), 40U);
}

TEST_F(DemandCalls, CopiedRangesAreLoaded) {
  const int from = calls::Open(kTable, O_RDONLY),
            to = calls::Open("base/5/copy", O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(to, 0);
  off_t at = 5 * off_t{kPageBytes};
  EXPECT_EQ(calls::CopyFileRange(from, &at, to, nullptr, kPageBytes, 0), ssize_t{kPageBytes});
  EXPECT_EQ(maker_.OnDisk("base/5/copy", 0), DemandMaker::Page(2, 5));
  calls::Close(from);
  calls::Close(to);
}

TEST_F(DemandCalls, WholePagesAreWrittenWithoutBeingLoaded) {
  const int fd = calls::Open(kTable, O_RDWR);
  const Bytes one = DemandMaker::Page(9, 1), two = DemandMaker::Page(9, 2);
  ASSERT_EQ(::rename(maker_.pack().c_str(), (maker_.pack() + ".away").c_str()), 0);
  EXPECT_EQ(calls::Pwrite(fd, one.data(), one.size(), 10 * off_t{kPageBytes}), ssize_t{kPageBytes});
  const iovec parts[] = {{const_cast<std::uint8_t*>(one.data()), one.size()},
                         {const_cast<std::uint8_t*>(two.data()), two.size()}};
  EXPECT_EQ(calls::Pwritev(fd, parts, 2, 20 * off_t{kPageBytes}), 2 * ssize_t{kPageBytes});
  EXPECT_EQ(AbsentPages(), 137U);
  EXPECT_EQ(ReadPage(fd, 21), two);
  EXPECT_EQ(calls::Pwrite(fd, "x", 1, 30 * off_t{kPageBytes} + 5), -1)
      << "the rest of it is needed";
  ASSERT_EQ(::rename((maker_.pack() + ".away").c_str(), maker_.pack().c_str()), 0);
  EXPECT_EQ(calls::Pwrite(fd, "x", 1, 30 * off_t{kPageBytes} + 5), 1);
  Bytes wanted = DemandMaker::Page(2, 30);
  wanted[5] = 'x';
  EXPECT_EQ(ReadPage(fd, 30), wanted);
  EXPECT_EQ(ReadPage(fd, 10), one) << "loading its frame did not bring the old one back";
  // Unaligned over three pages, at the position of the descriptor.
  const std::string text(2 * kPageBytes, 'y');
  ASSERT_EQ(::lseek(fd, 40 * kPageBytes + 100, SEEK_SET), 40 * kPageBytes + 100);
  EXPECT_EQ(calls::Write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 42 * kPageBytes + 100);
  Bytes first = DemandMaker::Page(2, 40), last = DemandMaker::Page(2, 42);
  std::fill(first.begin() + 100, first.end(), 'y');
  std::fill(last.begin(), last.begin() + 100, 'y');
  EXPECT_EQ(ReadPage(fd, 40), first);
  EXPECT_EQ(ReadPage(fd, 41), Bytes(kPageBytes, 'y'));
  EXPECT_EQ(ReadPage(fd, 42), last);
  calls::Close(fd);
}

TEST_F(DemandCalls, AFailedWriteTakesNothing) {
  const int fd = calls::Open(kTable, O_RDONLY);
  const Bytes page = DemandMaker::Page(9, 1);
  EXPECT_EQ(calls::Pwrite(fd, page.data(), page.size(), 0), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(AbsentPages(), 140U);
  EXPECT_EQ(ReadPage(fd, 0), DemandMaker::Page(2, 0));
  calls::Close(fd);
}

TEST_F(DemandCalls, CuttingByNameAndByDescriptor) {
  const int fd = calls::Open(kTable, O_RDWR);
  EXPECT_EQ(calls::Ftruncate(fd, 50 * off_t{kPageBytes} + 100), 0);
  EXPECT_EQ(::ftruncate(fd, 100 * off_t{kPageBytes}), 0);
  Bytes rest = DemandMaker::Page(2, 50);
  std::fill(rest.begin() + 100, rest.end(), 0);
  EXPECT_EQ(ReadPage(fd, 50), rest);
  EXPECT_EQ(ReadPage(fd, 51), Bytes(kPageBytes));
  EXPECT_EQ(ReadPage(fd, 49), DemandMaker::Page(2, 49));
  calls::Close(fd);
  EXPECT_EQ(calls::Truncate("base/5/16386", 0), 0);
  Reopen();
  EXPECT_EQ(::truncate("base/5/16386", 40 * off_t{kPageBytes}), 0);
  Reopen();
  const int other = calls::Open("base/5/16386", O_RDWR);
  EXPECT_EQ(ReadPage(other, 3), Bytes(kPageBytes)) << "dropped pages stay dropped";
  calls::Close(other);
}

TEST_F(DemandCalls, ANewFileOfAnOldName) {
  EXPECT_EQ(calls::Open(kTable, O_RDWR | O_CREAT | O_EXCL, 0600), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(AbsentPages(), 140U) << "nothing was created, nothing is forgotten";
  EXPECT_EQ(calls::Unlink(kTable), 0);
  EXPECT_EQ(AbsentPages(), 40U);
  const int fd = calls::Open(kTable, O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(directory_->presence().head().dirty, directory_->presence().head().synced);
  EXPECT_EQ(::ftruncate(fd, 100 * off_t{kPageBytes}), 0);
  EXPECT_EQ(ReadPage(fd, 3), Bytes(kPageBytes));
  calls::Close(fd);
  Reopen();
  // A name that was given up behind our back, and used again.
  ASSERT_EQ(::unlink("base/5/16386"), 0);
  const int other = calls::Open("base/5/16386", O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(other, 0);
  EXPECT_EQ(AbsentPages(), 0U);
  calls::Close(other);
  Reopen();
}

TEST_F(DemandCalls, TheControlFileWaitsForTheMap) {
  const int fd = calls::Open(kTable, O_RDWR);
  EXPECT_EQ(ReadPage(fd, 0), DemandMaker::Page(2, 0));
  EXPECT_EQ(calls::Fsync(fd), 0);
  const SharedHead& head = directory_->presence().head();
  EXPECT_LT(head.synced, head.dirty);
  const int reading = calls::Open("global/pg_control", O_RDONLY);
  calls::Close(reading);
  EXPECT_LT(head.synced, head.dirty);
  const int control = calls::Open(maker_.Path("global/pg_control").c_str(), O_RDWR);
  EXPECT_GE(control, 0);
  EXPECT_EQ(head.synced, head.dirty);
  calls::Close(control);
  // fsync = off
  const bool off = false;
  WatchFsyncSetting(&off);
  EXPECT_EQ(ReadPage(fd, 32), DemandMaker::Page(2, 32));
  const int second = calls::Open("global/pg_control", O_RDWR);
  calls::Close(second);
  calls::Close(fd);
  Reopen();
  EXPECT_EQ(AbsentPages(), 140U - 64U);
}

TEST_F(DemandCalls, WhatCanBeMadeAgainIsSyncedOnlyWhereAMapFollows) {
  // Of a pipe the real call fails, which shows whether it was made.
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  EXPECT_EQ(calls::Fsync(pipe[1]), -1);
  SyncOnlyWhatIsMapped(true);
  EXPECT_EQ(calls::Fsync(pipe[1]), 0);
  const int fd = calls::Open(kTable, O_RDWR);
  EXPECT_EQ(ReadPage(fd, 0), DemandMaker::Page(2, 0));
  EXPECT_EQ(calls::Fsync(fd), 0);
  const SharedHead& head = directory_->presence().head();
  EXPECT_LT(head.synced, head.dirty);
  calls::Close(fd);
  Reopen();
  EXPECT_EQ(AbsentPages(), 140U - 32U) << "the map has followed";
  UseDirectory(nullptr);
  EXPECT_EQ(calls::Fsync(pipe[1]), -1) << "a plain directory is not ours";
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(DemandCalls, AMapThatCannotBeWrittenKeepsTheControlFile) {
  directory_->presence().head().has_failed = 1;
  EXPECT_EQ(calls::Open("global/pg_control", O_RDWR), -1);
  EXPECT_EQ(errno, EIO);
}

// internals 5
TEST_F(DemandCalls, TheGenuineLabelIsReadAndPutAside) {
  std::FILE* label = calls::Fopen("backup_label", "r");
  ASSERT_NE(label, nullptr);
  char line[64] = {};
  EXPECT_NE(std::fgets(line, sizeof line, label), nullptr);
  EXPECT_STREQ(line, "START WAL LOCATION: 0/2000028\n");
  std::fclose(label);
  EXPECT_EQ(calls::Rename("backup_label", "backup_label.old"), 0);
  EXPECT_TRUE(PathExists("backup_label.old"));
  EXPECT_EQ(calls::Fopen("backup_label", "r"), nullptr);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_TRUE(PathExists("backup_label")) << "the marker stays";
  Reopen();
  ASSERT_NE(directory_, nullptr);
}

TEST_F(DemandCalls, NothingIsTrackedWithoutADirectoryOrWhenItIsComplete) {
  directory_->presence().head().is_complete = 1;
  const int fd = calls::Open(kTable, O_RDWR);
  EXPECT_EQ(ReadPage(fd, 70), Bytes(kPageBytes));
  calls::Close(fd);
  std::FILE* marker = calls::Fopen("backup_label", "r");
  ASSERT_NE(marker, nullptr);
  char line[16] = {};
  EXPECT_NE(std::fgets(line, sizeof line, marker), nullptr);
  EXPECT_STREQ(std::string(line, 10).c_str(), "INCOMPLETE");
  std::fclose(marker);
  UseDirectory(nullptr);
  EXPECT_EQ(calls::Rename("backup_label", "elsewhere"), 0);
}

}  // namespace
}  // namespace pitr::demand
