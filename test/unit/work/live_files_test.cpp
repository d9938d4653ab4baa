#include "core/work/live_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class LiveFilesTest : public ::testing::Test {
 protected:
  LiveFilesTest() {
    EXPECT_EQ(::mkdir((base_ / "live").c_str(), 0700), 0);
    EXPECT_EQ(::mkdir((base_ / "new").c_str(), 0700), 0);
  }
  std::string Live(std::string_view name) const { return JoinPath(base_ / "live", name); }
  std::string New(std::string_view name) const { return JoinPath(base_ / "new", name); }

  static void Write(const std::string& path, std::string_view text, unsigned mode = 0600) {
    Result<File> file = File::Open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_TRUE(file->WriteAll(AsBytes(text)).ok());
  }
  static std::string Content(const std::string& path) {
    const Result<std::string> text = ReadTextFile(path, 1U << 20);
    return text.ok() ? *text : "no " + path;
  }
  static unsigned Mode(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777U;
  }
  Status Copy(std::vector<std::string> named = {}, std::string standbys = "",
              std::vector<std::string> excluded = {}, std::string own_standbys = "") {
    return CopyLiveFiles({base_ / "live", base_ / "new", std::move(named), std::move(excluded),
                          std::move(standbys), std::move(own_standbys)});
  }

  TempDir base_;
};

TEST_F(LiveFilesTest, TakesOverWhatNeitherInitdbNorTheServerMakes) {
  Write(Live("postgresql.conf"), "today");
  Write(New("postgresql.conf"), "past");
  Write(Live("pg_hba.conf"), "hba");
  Write(Live("server.key"), "key", 0600);
  ASSERT_EQ(::mkdir(Live("conf.d").c_str(), 0750), 0);
  Write(Live("conf.d/a.conf"), "a", 0640);
  ASSERT_EQ(::mkdir(New("conf.d").c_str(), 0700), 0);
  Write(New("conf.d/old.conf"), "old");
  ASSERT_TRUE(Copy().ok());
  EXPECT_EQ(Content(New("postgresql.conf")), "today");
  EXPECT_EQ(Content(New("pg_hba.conf")), "hba");
  EXPECT_EQ(Content(New("server.key")), "key");
  EXPECT_EQ(Content(New("conf.d/a.conf")), "a");
  EXPECT_EQ(Mode(New("conf.d")), 0750U);
  EXPECT_EQ(Mode(New("conf.d/a.conf")), 0640U);
  EXPECT_FALSE(PathExists(New("conf.d/old.conf")));
}

TEST_F(LiveFilesTest, LeavesTheServersOwnEntriesAlone) {
  for (const char* name : {"PG_VERSION", "backup_label", "postmaster.pid", "postmaster.opts",
                           "current_logfiles", "standby.signal", "core.123"}) {
    Write(Live(name), "live");
    EXPECT_TRUE(IsServerEntry(name)) << name;
  }
  for (const char* name : {"base", "global", "pg_wal", "pg_xact", "log", "pitr"}) {
    ASSERT_EQ(::mkdir(Live(name).c_str(), 0700), 0);
    Write(JoinPath(Live(name), "file"), "live");
  }
  ASSERT_TRUE(Copy({"pg_wal/file", "base"}).ok());
  EXPECT_TRUE(ListDirectory(base_ / "new")->empty());
}

TEST_F(LiveFilesTest, LeavesOutWhatIsExcluded) {
  ASSERT_EQ(::mkdir(Live("my_logs").c_str(), 0700), 0);
  ASSERT_TRUE(Copy({}, "", {"my_logs"}).ok());
  EXPECT_FALSE(PathExists(New("my_logs")));
}

TEST_F(LiveFilesTest, TakesNamedFilesByAbsolutePathToo) {
  ASSERT_EQ(::mkdir(Live("certs").c_str(), 0700), 0);
  Write(Live("certs/server.crt"), "crt");
  ASSERT_TRUE(Copy({Live("certs/server.crt"), "missing.crt", "../outside", "/etc/hostname"}).ok());
  EXPECT_EQ(Content(New("certs/server.crt")), "crt");
  EXPECT_FALSE(PathExists(base_ / "outside"));
  EXPECT_FALSE(PathExists(New("hostname")));
}

TEST_F(LiveFilesTest, KeepsLinksAndLeavesOutPipes) {
  ASSERT_EQ(::symlink("/etc/elsewhere.conf", Live("linked.conf").c_str()), 0);
  ASSERT_EQ(::mkfifo(Live("pipe").c_str(), 0600), 0);
  Write(New("linked.conf"), "a file of the past");
  ASSERT_TRUE(Copy().ok());
  char target[64];
  const ssize_t size = ::readlink(New("linked.conf").c_str(), target, sizeof target);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(target, static_cast<std::size_t>(size)), "/etc/elsewhere.conf");
  EXPECT_FALSE(PathExists(New("pipe")));
}

TEST_F(LiveFilesTest, ReplacesAFileByAFolderAndTheReverse) {
  ASSERT_EQ(::mkdir(Live("a").c_str(), 0700), 0);
  Write(New("a"), "file");
  Write(Live("b"), "file");
  ASSERT_EQ(::mkdir(New("b").c_str(), 0700), 0);
  ASSERT_TRUE(Copy().ok());
  EXPECT_TRUE(ListDirectory(New("a")).ok());
  EXPECT_EQ(Content(New("b")), "file");
}

TEST_F(LiveFilesTest, TakesOverSettingsOfAlterSystemAndClearsWaitingForStandbys) {
  Write(Live("postgresql.auto.conf"), "work_mem = '1MB'\nsynchronous_standby_names = 'x'\n");
  Write(New("postgresql.auto.conf"), "past");
  ASSERT_TRUE(Copy({}, "x").ok());
  EXPECT_EQ(
      Content(New("postgresql.auto.conf")),
      "work_mem = '1MB'\nsynchronous_standby_names = 'x'\n\nsynchronous_standby_names = ''\n");
  ASSERT_TRUE(Copy().ok());
  EXPECT_EQ(Content(New("postgresql.auto.conf")), Content(Live("postgresql.auto.conf")));
}

TEST_F(LiveFilesTest, KeepsWaitingForStandbysThatComeBackByThemselves) {
  Write(Live("postgresql.auto.conf"), "work_mem = '1MB'\n");
  ASSERT_TRUE(Copy({}, "pitr", {}, "pitr").ok());
  EXPECT_EQ(Content(New("postgresql.auto.conf")), "work_mem = '1MB'\n");
  ASSERT_TRUE(Copy({}, "FIRST 2 (pitr, other)", {}, "pitr").ok());
  EXPECT_EQ(Content(New("postgresql.auto.conf")),
            "work_mem = '1MB'\n\nsynchronous_standby_names = 'pitr'\n");
}

TEST_F(LiveFilesTest, DropsSettingsOfThePastWhenThereAreNoneToday) {
  Write(New("postgresql.auto.conf"), "past");
  ASSERT_TRUE(Copy().ok());
  EXPECT_FALSE(PathExists(New("postgresql.auto.conf")));
  ASSERT_TRUE(Copy({}, "x").ok());
  EXPECT_EQ(Content(New("postgresql.auto.conf")), "\nsynchronous_standby_names = ''\n");
}

TEST_F(LiveFilesTest, RemovesSignalsOfRecovery) {
  Write(New("recovery.signal"), "");
  Write(New("standby.signal"), "");
  ASSERT_TRUE(Copy().ok());
  EXPECT_TRUE(ListDirectory(base_ / "new")->empty());
}

TEST_F(LiveFilesTest, TakesRightsOfOthersFromFilesThatAreNotOurs) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give files away";
  }
  Write(Live("server.key"), "key");
  ASSERT_EQ(::chown(Live("server.key").c_str(), 1, 1), 0);
  ASSERT_EQ(::chmod(Live("server.key").c_str(), 0640), 0);
  ASSERT_TRUE(Copy().ok());
  EXPECT_EQ(Mode(New("server.key")), 0600U);
}

TEST_F(LiveFilesTest, FindsPathsInTheReplacement) {
  ASSERT_EQ(::symlink((base_ / "live").c_str(), (base_ / "link").c_str()), 0);
  const std::string live = base_ / "live", replacement = base_ / "new";
  EXPECT_EQ(PathInReplacement(Live("postgresql.conf"), live, replacement), New("postgresql.conf"));
  EXPECT_EQ(PathInReplacement(base_ / "link/postgresql.conf", live, replacement),
            New("postgresql.conf"));
  EXPECT_EQ(PathInReplacement(Live("postgresql.conf"), base_ / "link", replacement),
            New("postgresql.conf"));
  EXPECT_EQ(PathInReplacement("/etc/postgresql.conf", live, replacement), "/etc/postgresql.conf");
  // A neighbour whose name begins alike is outside.
  ASSERT_EQ(::mkdir((base_ / "live2").c_str(), 0700), 0);
  EXPECT_EQ(PathInReplacement(base_ / "live2/a.conf", live, replacement), base_ / "live2/a.conf");
}

}  // namespace
}  // namespace pitr
