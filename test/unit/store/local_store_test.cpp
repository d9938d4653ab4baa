// What the contract suite cannot see: files, modes, folders that go away, disks that are full, processes that are killed.
#include "core/store/local_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "core/base/fault.h"
#include "core/store/local_names.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

std::unique_ptr<ObjectStore> Open(const std::string& folder) {
  Result<std::unique_ptr<LocalStore>> store = LocalStore::Open(folder);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return *std::move(store);
}

Bytes Zeroes(std::size_t size) { return Bytes(size); }

unsigned ModeOf(const std::string& path) {
  struct stat found = {};
  EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
  return found.st_mode & 07777;
}

std::vector<std::string> Unfinished(const TempDir& directory) {
  Result<std::vector<std::string>> names = ListDirectory(directory / ".tmp");
  return names.ok() ? *names : std::vector<std::string>();
}

// Runs `body` in a child process and gives its wait status.
int InChild(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(LocalStore, AnObjectIsAFileForItsOwnerOnly) {
  const TempDir directory;
  ASSERT_TRUE(Open(directory.path())->Put("a/b", AsBytes("x")).ok());
  EXPECT_EQ(ModeOf(directory / "a/b"), 0600U);
  EXPECT_EQ(ModeOf(directory / "a"), 0700U);
  Result<std::string> text = ReadTextFile(directory / "a/b", 10);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "x");
}

TEST(LocalStore, IsOpenedOnlyOnAFolderThatIsThere) {
  const TempDir directory;
  const Status absent = LocalStore::Open(directory / "absent").status();
  EXPECT_EQ(absent.code(), Code::kIo);
  EXPECT_NE(absent.hint().find("mounted"), std::string::npos) << absent.ToString();
  EXPECT_FALSE(PathExists(directory / "absent"));
  ASSERT_TRUE(WriteFileDurably(directory / "file", AsBytes("x")).ok());
  EXPECT_EQ(LocalStore::Open(directory / "file").status().code(), Code::kIo);
}

TEST(LocalStore, AFolderThatMayNotBeWrittenIsRefusedAtOnce) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may write everything";
  }
  const TempDir directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0500), 0);
  const Status status = LocalStore::Open(directory.path()).status();
  ASSERT_EQ(::chmod(directory.path().c_str(), 0700), 0);
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_FALSE(status.hint().empty());
}

TEST(LocalStore, HiddenAndForeignEntriesAreNoObjects) {
  const TempDir directory;
  const std::unique_ptr<ObjectStore> store = Open(directory.path());
  ASSERT_TRUE(store->Put("a/x", {}).ok());
  ASSERT_TRUE(WriteFileDurably(directory / ".hidden", {}).ok());
  ASSERT_TRUE(WriteFileDurably(directory / "a/.x.swp", {}).ok());
  ASSERT_TRUE(MakeDirectories(directory / "lost+found").ok());
  ASSERT_TRUE(MakeDirectories(directory / ".snapshot/daily").ok());
  ASSERT_EQ(::symlink("x", (directory / "a/link").c_str()), 0);
  EXPECT_EQ(store->List("")->size(), 1U);
  EXPECT_EQ(*store->ListParts(""), std::vector<std::string>{"a/"});
  EXPECT_TRUE(local::IsHidden(".tmp"));
  EXPECT_TRUE(local::IsHidden("lost+found"));
  EXPECT_FALSE(local::IsHidden("a"));
}

TEST(LocalStore, WhatAKilledWriterLeavesIsInvisibleAndCollectedByAge) {
  const TempDir directory;
  const int status = InChild([&] {
    const std::unique_ptr<ObjectStore> store = Open(directory.path());
    Result<std::unique_ptr<ObjectWriter>> writer = store->Create("a/x");
    const Status ignored = (*writer)->Append(Zeroes(3U << 20));
    ::raise(ignored.ok() ? SIGKILL : SIGTERM);
  });
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(Unfinished(directory).size(), 1U);
  const std::unique_ptr<ObjectStore> store = Open(directory.path());
  EXPECT_TRUE(store->List("")->empty());
  EXPECT_TRUE(store->ListParts("")->empty());
  ASSERT_TRUE(store->CollectAbandoned(3600).ok());
  EXPECT_EQ(Unfinished(directory).size(), 1U);
  ASSERT_TRUE(store->CollectAbandoned(0).ok());
  EXPECT_TRUE(Unfinished(directory).empty());
}

TEST(LocalStore, AWriterWhoseTemporaryFileWasCollectedSaysSo) {
  const TempDir directory;
  const std::unique_ptr<ObjectStore> store = Open(directory.path());
  Result<std::unique_ptr<ObjectWriter>> writer = store->Create("a/x");
  ASSERT_TRUE((*writer)->Append(AsBytes("x")).ok());
  ASSERT_TRUE(store->CollectAbandoned(0).ok());
  EXPECT_EQ((*writer)->Commit().code(), Code::kIo);
  EXPECT_EQ(store->Stat("a/x").status().code(), Code::kNotFound);
}

// An unmounted disk looks like another, empty folder under the same name.
TEST(LocalStore, AReplacedFolderIsAnErrorAndNeverNotFound) {
  const TempDir directory;
  const std::string folder = directory / "repository";
  ASSERT_TRUE(MakeDirectories(folder).ok());
  const std::unique_ptr<ObjectStore> store = Open(folder);
  ASSERT_TRUE(store->Put("a/x", {}).ok());
  for (const bool is_replaced : {false, true}) {
    ASSERT_EQ(::rename(folder.c_str(), (directory / "elsewhere").c_str()), 0);
    if (is_replaced) {
      ASSERT_TRUE(MakeDirectories(folder).ok());
    }
    EXPECT_EQ(store->Get("a/x", 1).status().code(), Code::kIo);
    EXPECT_EQ(store->GetRange("a/x", 0, 1).status().code(), Code::kIo);
    EXPECT_EQ(store->GetSuffix("a/x", 1).status().code(), Code::kIo);
    EXPECT_EQ(store->Stat("a/x").status().code(), Code::kIo);
    EXPECT_EQ(store->List("a/").status().code(), Code::kIo);
    EXPECT_EQ(store->ListParts("a/").status().code(), Code::kIo);
    EXPECT_EQ(store->Remove("a/x").code(), Code::kIo);
    EXPECT_EQ(store->CollectAbandoned(0).code(), Code::kIo);
    const Status put = store->Put("b/y", {});
    EXPECT_EQ(put.code(), Code::kIo);
    EXPECT_NE(put.hint().find("unmounted"), std::string::npos) << put.ToString();
    if (is_replaced) {
      EXPECT_TRUE(ListDirectory(folder)->empty()) << "something was written into the wrong folder";
      ASSERT_EQ(::rmdir(folder.c_str()), 0);
    }
    ASSERT_EQ(::rename((directory / "elsewhere").c_str(), folder.c_str()), 0);
  }
  EXPECT_TRUE(store->Put("b/y", {}).ok());
}

// A handle that knew a folder as durable meets another folder of that name.
TEST(LocalStore, AFolderThatWasRemovedAndMadeAgainIsNoticed) {
  const TempDir directory;
  const std::unique_ptr<ObjectStore> first = Open(directory.path());
  const std::unique_ptr<ObjectStore> second = Open(directory.path());
  for (int round = 0; round < 3; round++) {
    ASSERT_TRUE(first->Put("a/b/x", {}).ok());
    ASSERT_TRUE(second->Remove("a/b/x").ok());
    EXPECT_FALSE(PathExists(directory / "a"));
    ASSERT_TRUE(second->Put("a/b/y", {}).ok());
    ASSERT_TRUE(first->Put("a/b/x", {}).ok());
    ASSERT_TRUE(second->Remove("a/b/x").ok());
    ASSERT_TRUE(first->Remove("a/b/y").ok());
  }
}

TEST(LocalStore, AnObjectIsNoFolder) {
  const TempDir directory;
  const std::unique_ptr<ObjectStore> store = Open(directory.path());
  ASSERT_TRUE(store->Put("a", {}).ok());
  EXPECT_EQ(store->Put("a/b", {}).code(), Code::kAlreadyExists);
  ASSERT_TRUE(store->Put("c/d", {}).ok());
  EXPECT_EQ(store->Put("c", {}).code(), Code::kAlreadyExists);
}

TEST(LocalStore, TellsFreeBytes) {
  const TempDir directory;
  const std::optional<std::uint64_t> bytes = Open(directory.path())->FreeBytes();
  ASSERT_TRUE(bytes.has_value());
  EXPECT_GT(*bytes, 0U);
}

// Puts this process into a mount namespace of its own and mounts a file system of one megabyte, which needs no privilege
// there once the user is root in a user namespace.
bool MountOneMegabyte(const std::string& path) {
  const std::string uid = std::to_string(::geteuid()), gid = std::to_string(::getegid());
  const bool is_root = ::geteuid() == 0;
  const auto write = [](const char* file, const std::string& text) {
    Result<File> opened = File::Open(file, O_WRONLY);
    return opened.ok() && opened->WriteAll(AsBytes(text)).ok();
  };
  if (::unshare(is_root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return false;
  }
  if (!is_root &&
      !(write("/proc/self/setgroups", "deny") && write("/proc/self/uid_map", "0 " + uid + " 1") &&
        write("/proc/self/gid_map", "0 " + gid + " 1"))) {
    return false;
  }
  return ::mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", path.c_str(), "tmpfs", 0, "size=1m") == 0;
}

TEST(LocalStore, AFullDiskNamesTheFolderAndLeavesWhatWasThere) {
  const TempDir directory;
  constexpr int kNoNamespace = 77;
  const int status = InChild([&] {
    if (!MountOneMegabyte(directory.path())) {
      ::_exit(kNoNamespace);
    }
    const std::unique_ptr<ObjectStore> store = Open(directory.path());
    bool is_fine = store->Put("kept", AsBytes("kept")).ok();
    const Status full = store->Put("big", Zeroes(3U << 20));
    is_fine = is_fine && full.code() == Code::kDiskFull &&
              full.message().find(directory.path()) != std::string::npos;
    is_fine = is_fine && store->Stat("big").status().code() == Code::kNotFound;
    is_fine = is_fine && AsText(*store->Get("kept", 10)) == "kept";
    // What the failed writer had taken is free again.
    is_fine = is_fine && store->Put("small", Zeroes(256U << 10)).ok();
    ::_exit(is_fine ? 0 : 1);
  });
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoNamespace) {
    GTEST_SKIP() << "no mount namespaces here";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

#ifdef PITR_FAULTS

class LocalStoreFault : public testing::TestWithParam<const char*> {};

// Killed at any step of a commit: the object is there whole or not at all, and the next writer gets through.
TEST_P(LocalStoreFault, KilledInCommitLeavesAllOrNothing) {
  const TempDir directory;
  const std::string armed = directory / "faults";
  const std::string folder = directory / "repository";
  ASSERT_TRUE(MakeDirectories(folder).ok());
  ASSERT_TRUE(WriteFileDurably(armed, AsBytes(std::string(GetParam()) + " kill\n")).ok());
  const Bytes content = Zeroes((2U << 20) + 5);
  const int status = InChild([&] {
    ::setenv("PITR_FAULT_FILE", armed.c_str(), 1);
    const Status ignored = Open(folder)->Put("a/b/x", content);
    ::_exit(ignored.ok() ? 0 : 1);
  });
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  const std::unique_ptr<ObjectStore> store = Open(folder);
  const std::vector<ObjectStat> found = *store->List("");
  const bool is_published = std::string_view(GetParam()) == "store.put.after_link";
  ASSERT_EQ(found.size(), is_published ? 1U : 0U);
  const Status again = store->Put("a/b/x", content);
  EXPECT_EQ(again.code(), is_published ? Code::kAlreadyExists : Code::kOk) << again.ToString();
  EXPECT_EQ(*store->Get("a/b/x", 4U << 20), content);
  ASSERT_TRUE(store->CollectAbandoned(0).ok());
  EXPECT_TRUE(ListDirectory(folder + "/.tmp")->empty());
}

TEST_P(LocalStoreFault, AnErrorInCommitIsReported) {
  const TempDir directory;
  const std::string armed = directory / "faults";
  ASSERT_TRUE(WriteFileDurably(armed, AsBytes(std::string(GetParam()) + " error\n")).ok());
  ::setenv("PITR_FAULT_FILE", armed.c_str(), 1);
  const std::unique_ptr<ObjectStore> store = Open(directory.path());
  const Status status = store->Put("a/x", AsBytes("x"));
  ::unsetenv("PITR_FAULT_FILE");
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_TRUE(Unfinished(directory).empty());
}

INSTANTIATE_TEST_SUITE_P(Points, LocalStoreFault,
                         testing::Values("store.put.before_sync", "store.put.after_sync",
                                         "store.put.after_link"));

#endif

}  // namespace

}  // namespace pitr
