// The program is no library, so its test compiles the source into itself.
#include "tool/staging_config.cpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>

#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr::tool {
namespace {

RecoveryConfig Config() {
  RecoveryConfig config;
  config.socket_directory = "/run/x";
  config.program = "/usr/bin/pitr";
  config.record_start = {0x50000A0};
  config.timeline = 3;
  return config;
}

// As the server reads the file: the last line of a name wins.
std::map<std::string, std::string> Read(const std::string& text) {
  std::map<std::string, std::string> settings;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    const std::size_t equals = line.find(" = '");
    if (equals != std::string::npos) {
      settings[line.substr(0, equals)] = line.substr(equals + 4, line.size() - equals - 5);
    }
    begin = end + 1;
  }
  return settings;
}

std::map<std::string, std::string> Settings(const RecoveryConfig& config) {
  std::vector<std::string> ignored;
  const Result<std::string> text = RecoveryConfigText(config, &ignored);
  EXPECT_TRUE(text.ok()) << text.status().ToString();
  return Read(*text);
}

TEST(StagingConfigTest, RecoversToTheRecordOnItsOwnTimelineAndPauses) {
  const auto settings = Settings(Config());
  EXPECT_EQ(settings.at("recovery_target_lsn"), "0/50000A0");
  EXPECT_EQ(settings.at("recovery_target_inclusive"), "on");
  EXPECT_EQ(settings.at("recovery_target_action"), "pause");
  EXPECT_EQ(settings.at("recovery_target_timeline"), "3");
  EXPECT_EQ(settings.at("restore_command"), "''/usr/bin/pitr'' wal-get \"%f\" \"%p\"");
}

// internals 11 and 12: each of these has done harm somewhere.
TEST(StagingConfigTest, TouchesNobodyElse) {
  const auto settings = Settings(Config());
  for (const char* name :
       {"listen_addresses", "primary_conninfo", "recovery_end_command", "archive_cleanup_command",
        "archive_command", "archive_library", "synchronous_standby_names",
        "shared_preload_libraries", "external_pid_file"}) {
    EXPECT_EQ(settings.at(name), "") << name;
  }
  EXPECT_EQ(settings.at("max_logical_replication_workers"), "0");
  EXPECT_EQ(settings.at("autovacuum"), "off");
  EXPECT_EQ(settings.at("archive_mode"), "on");
  EXPECT_EQ(settings.at("huge_pages"), "off");
  EXPECT_EQ(settings.at("logging_collector"), "off");
}

TEST(StagingConfigTest, ComparedSettingsAreAtLeastWhatThePastHad) {
  RecoveryConfig config = Config();
  config.settings.max_connections = 500;
  config.settings.max_worker_processes = 32;
  config.settings.max_wal_senders = 12;
  config.settings.max_prepared_transactions = 5;
  config.settings.max_locks_per_transaction = 128;
  config.settings.wal_level = 2;
  config.settings.track_commit_timestamp = true;
  const auto settings = Settings(config);
  EXPECT_EQ(settings.at("max_connections"), "500");
  EXPECT_EQ(settings.at("max_worker_processes"), "32");
  EXPECT_EQ(settings.at("max_wal_senders"), "12");
  EXPECT_EQ(settings.at("max_prepared_transactions"), "5");
  EXPECT_EQ(settings.at("max_locks_per_transaction"), "128");
  EXPECT_EQ(settings.at("wal_level"), "logical");
  EXPECT_EQ(settings.at("track_commit_timestamp"), "on");
  // Never minimal, with which there is no hot standby.
  config.settings.wal_level = 0;
  EXPECT_EQ(Settings(config).at("wal_level"), "replica");
}

TEST(StagingConfigTest, WalSizesFollowTheSegmentSize) {
  RecoveryConfig config = Config();
  EXPECT_EQ(Settings(config).at("max_wal_size"), "8192MB");
  EXPECT_EQ(Settings(config).at("min_wal_size"), "80MB");
  config.segment_size = 1U << 30;
  EXPECT_EQ(Settings(config).at("max_wal_size"), "8192MB");
  EXPECT_EQ(Settings(config).at("min_wal_size"), "2048MB");
}

TEST(StagingConfigTest, FoldersInThePlaceOfTablespacesAreAllowedWhereThereAreSome) {
  RecoveryConfig config = Config();
  EXPECT_EQ(Settings(config).count("allow_in_place_tablespaces"), 0U);
  config.has_in_place_tablespaces = true;
  EXPECT_EQ(Settings(config).at("allow_in_place_tablespaces"), "on");
}

TEST(StagingConfigTest, OneThatReadersStayOnArchivesNothingAndMissesWhoIsGone) {
  RecoveryConfig config = Config();
  config.is_look = true;
  config.recovery_settings = "client_connection_check_interval=0";
  const auto paused = Settings(config);
  EXPECT_EQ(paused.at("archive_mode"), "off");
  EXPECT_EQ(paused.at("client_connection_check_interval"), "1s");
  EXPECT_EQ(paused.at("recovery_target_lsn"), "0/50000A0");
  config.stands_by = true;
  const auto standing_by = Settings(config);
  EXPECT_EQ(standing_by.at("archive_mode"), "off");
  EXPECT_EQ(standing_by.at("recovery_target_lsn"), "");
  EXPECT_EQ(standing_by.at("restore_command"), "");
}

TEST(StagingConfigTest, LoginTriggersAreOffWhereTheyExist) {
  RecoveryConfig config = Config();
  EXPECT_EQ(Settings(config).count("event_triggers"), 0U);
  config.server_major = 17;
  EXPECT_EQ(Settings(config).at("event_triggers"), "off");
}

TEST(StagingConfigTest, UserSettingsWinUnlessTheOutcomeRestsOnThem) {
  RecoveryConfig config = Config();
  config.recovery_settings =
      "shared_buffers=1GB; Maintenance_IO_Concurrency = '50' ;; recovery_target_time=now;"
      "restore_command=true; hot_standby=off; archive_mode=off; PORT=1";
  std::vector<std::string> ignored;
  const Result<std::string> text = RecoveryConfigText(config, &ignored);
  ASSERT_TRUE(text.ok());
  const auto settings = Read(*text);
  EXPECT_EQ(settings.at("shared_buffers"), "1GB");
  EXPECT_EQ(settings.at("maintenance_io_concurrency"), "50");
  EXPECT_EQ(settings.at("hot_standby"), "on");
  EXPECT_EQ(settings.at("port"), "5432");
  EXPECT_EQ(settings.count("recovery_target_time"), 0U);
  EXPECT_EQ(ignored, (std::vector<std::string>{"recovery_target_time", "restore_command",
                                               "hot_standby", "archive_mode", "port"}));
}

TEST(StagingConfigTest, RefusesSettingsThatAreNone) {
  for (const char* text : {"a", "=b", "a b=c", "work_mem=1MB; x"}) {
    EXPECT_EQ(ParseSettings(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_TRUE(ParseSettings(" ; ")->empty());
}

TEST(StagingConfigTest, QuotesForTheFileAndForTheShell) {
  EXPECT_EQ(ConfigLine("a", "it's C:\\x"), "a = 'it''s C:\\\\x'\n");
  EXPECT_EQ(RestoreCommand("/o'dd $(x)/50%/pitr", ""),
            "'/o'\\''dd $(x)/50%%/pitr' wal-get \"%f\" \"%p\"");
}

// What the server makes of a restore_command (BuildRestoreCommand), and does with it.
int RunRestoreCommand(std::string command, const std::string& name, const std::string& path) {
  for (const auto& [sign, value] :
       {std::pair<std::string, std::string>{"%f", name}, {"%p", path}, {"%%", "%"}}) {
    for (std::size_t at = 0; (at = command.find(sign, at)) != std::string::npos;) {
      command.replace(at, sign.size(), value);
      at += value.size();
    }
  }
  return WEXITSTATUS(std::system(command.c_str()));
}

TEST(StagingConfigTest, TheShellTakesWhatIsReadyAndAsksTheProgramForTheRest) {
  const TempDir dir;
  const std::string spool = dir / "o'dd 50% spool", target = dir / "RECOVERYXLOG";
  ASSERT_TRUE(MakeDirectories(spool).ok());
  const std::string name = "000000010000000000000003";
  ASSERT_TRUE(WriteFileDurably(JoinPath(spool, name), AsBytes("content")).ok());
  // `false wal-get` ends with 1, "absent"; nothing may reach it when the file is ready.
  const std::string command = RestoreCommand("false", spool);
  EXPECT_EQ(RunRestoreCommand(command, name, target), 0);
  EXPECT_EQ(*ReadTextFile(target, 100), "content");
  EXPECT_EQ(*ReadTextFile(JoinPath(spool, "position"), 100), name);
  EXPECT_FALSE(PathExists(JoinPath(spool, name)));
  // The status of the program is that of the command, and the position is that of the last delivery.
  EXPECT_EQ(RunRestoreCommand(command, "000000010000000000000004", target), 1);
  const std::string program = dir / "program";
  ASSERT_TRUE(WriteFileDurably(program, AsBytes("#!/bin/sh\nexit 200\n")).ok());
  ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
  EXPECT_EQ(RunRestoreCommand(RestoreCommand(program, spool), name, target), 200);
  EXPECT_EQ(*ReadTextFile(JoinPath(spool, "position"), 100), name);
  // A position that cannot be noted is no reason to fetch what has been delivered.
  ASSERT_TRUE(WriteFileDurably(JoinPath(spool, name), AsBytes("again")).ok());
  ASSERT_TRUE(RemoveFile(JoinPath(spool, "position")).ok());
  ASSERT_TRUE(MakeDirectories(JoinPath(spool, "position")).ok());
  EXPECT_EQ(RunRestoreCommand(command, name, target), 0);
  EXPECT_EQ(*ReadTextFile(target, 100), "again");
}

TEST(StagingConfigTest, TheTrialChangesOnlyPlaceArchivingAndMemory) {
  LiveSettings live;
  live.directory = "/d.pitr/new";
  live.config_file = "/etc/postgresql.conf";
  live.options = {"max_connections=300", "port=6000"};
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : LiveTrialSettings(live)) {
    settings[name] = value;
  }
  EXPECT_EQ(settings.at("data_directory"), "/d.pitr/new");
  EXPECT_EQ(settings.at("config_file"), "/etc/postgresql.conf");
  EXPECT_EQ(settings.at("max_connections"), "300");
  EXPECT_EQ(settings.at("port"), "5432");
  EXPECT_EQ(settings.at("listen_addresses"), "");
  EXPECT_EQ(settings.at("archive_library"), "");
  EXPECT_EQ(settings.at("max_worker_processes"), "0");
  EXPECT_EQ(settings.at("fsync"), "off");
  EXPECT_EQ(settings.count("shared_preload_libraries"), 0U);
  EXPECT_EQ(settings.count("archive_mode"), 0U);
  live.keep_fsync = true;
  for (const auto& [name, value] : LiveTrialSettings(live)) {
    EXPECT_NE(name, "fsync");
  }
  EXPECT_EQ(AsArguments({{"a", "b c"}}), (std::vector<std::string>{"-c", "a=b c"}));
}

}  // namespace
}  // namespace pitr::tool
