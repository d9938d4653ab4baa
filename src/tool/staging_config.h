// The configuration of a staging server, as text (internals 6, 11, 12, 14). Pure: what it says depends on nothing but its
// arguments. Two servers are described: the one that recovers a replacement to its target, whose every setting is ours, and
// the one that tries the finished directory with the live server's own settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/codec/keyring.h"
#include "core/repo/manifest.h"
#include "core/types/lsn.h"

namespace pitr::tool {

using Setting = std::pair<std::string, std::string>;

struct RecoveryConfig {
  std::string socket_directory;
  int port = 5432;  // names the socket only
  std::uint32_t server_major = 15;
  std::uint32_t segment_size = 16U << 20;
  std::string program;  // `pitr`, for restore_command
  std::string spool;    // of read-ahead; empty: the program is asked for everything
  Lsn record_start;
  TimelineId timeline = 0;
  ControlSettings settings;  // at least these (internals 6)
  std::string preload_libraries;
  std::string library;  // ours, which keeps replay away from the live server's tablespaces
  bool is_incomplete =
      false;  // the directory: then the server must load pages, by the library, and fsync (internals 2c)
  bool has_in_place_tablespaces = false;  // folders of pg_tblspc
  // It stays at the target for readers: paused, or (`stands_by`) when it has promoted itself there and is a standby again.
  bool is_look = false, stands_by = false;
  int fetch_workers = 0;          // of those, 0: none are needed
  KeySource keys;                 // that they open the repository with
  std::string recovery_settings;  // "name=value; …", from the user
};

// "name=value; name=value", blanks and empty parts ignored; kInvalidArgument naming the part that is neither.
Result<std::vector<Setting>> ParseSettings(std::string_view text);

// Content of a postgresql.conf. Of the user's settings those that recovery's outcome or safety rests on are left out; they
// are named in `ignored` (may be null).
Result<std::string> RecoveryConfigText(const RecoveryConfig& config,
                                       std::vector<std::string>* ignored);
// pg_hba.conf for a socket in a directory that only we can enter, and pg_ident.conf.
std::string StagingHbaText();
std::string StagingIdentText();

// restore_command that runs `program` whatever characters its path has. What lies ready in `spool`, if there is one, the shell
// moves by itself: to start the program with its libraries takes as long as to replay some MiB. Nothing is made durable then.
std::string RestoreCommand(std::string_view program, std::string_view spool);
// One line of a configuration file.
std::string ConfigLine(std::string_view name, std::string_view value);

// A server of a cluster that is being filled: nobody else reaches it, nothing acts in it, and it is made again when the machine dies.
std::vector<Setting> PrivateServerSettings(const std::string& socket_directory, int port,
                                           const std::string& preload_libraries,
                                           std::uint32_t server_major);

// Command line settings: they win over every file, postgresql.auto.conf included.
struct LiveSettings {
  std::string directory;                          // that is tried
  std::string config_file, hba_file, ident_file;  // paths to use
  std::string socket_directory;
  int port = 5432;
  bool keep_fsync = false;           // the directory cannot be made again
  std::vector<std::string> options;  // "name=value" that the live server has on its command line
};
std::vector<Setting> LiveTrialSettings(const LiveSettings& live);
// "-c", "name=value", …
std::vector<std::string> AsArguments(const std::vector<Setting>& settings);

}  // namespace pitr::tool
