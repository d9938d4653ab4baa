// Why each setting is there is said beside it; the tests hold the list against internals 11 and 12.
#include "tool/staging_config.h"

#include <algorithm>
#include <iterator>

#include "core/base/ascii.h"

namespace pitr::tool {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

bool IsSettingName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
}

// What the user may not set for a recovering server: where it is, what it recovers to, what it may do to others, and the
// settings that are computed from WAL. Prefixes end in "_".
constexpr std::string_view kReserved[] = {
    "archive_",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "include",
    "listen_addresses",
    "logging_collector",
    "max_connections",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
    "port",
    "primary_",
    "promote_trigger_file",
    "recovery_end_command",
    "recovery_min_apply_delay",
    "recovery_target",
    "recovery_target_",
    "restart_after_crash",
    "restore_command",
    "shared_preload_libraries",
    "synchronous_standby_names",
    "unix_socket_",
    "wal_level",
};

bool IsReserved(const std::string& name) {
  return std::any_of(std::begin(kReserved), std::end(kReserved), [&](std::string_view reserved) {
    return reserved.back() == '_' ? name.compare(0, reserved.size(), reserved) == 0
                                  : name == reserved;
  });
}

std::string AtLeast(std::int32_t value, std::int32_t least) {
  return std::to_string(std::max(value, least));
}

std::string Megabytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + "MB"; }

// Nobody from outside, no second log, nothing that speaks to other machines or runs commands.
void AddIsolation(std::vector<Setting>* settings) {
  settings->insert(
      settings->end(),
      {
          {"listen_addresses", ""},
          {"bonjour", "off"},
          {"external_pid_file", ""},
          {"logging_collector", "off"},
          {"log_destination", "stderr"},
          // A crash of staging is a failed build, not something to be repaired behind our back.
          {"restart_after_crash", "off"},
          // Fails without spare pages, and the live server needs them (internals 11).
          {"huge_pages", "off"},
          {"shared_buffers", "128MB"},
          {"min_dynamic_shared_memory", "0"},
          // A promoted copy is a live server: no subscription may consume a production slot.
          {"max_logical_replication_workers", "0"},
          {"autovacuum", "off"},
          {"archive_command", ""},
          {"archive_library", ""},
      });
}

void AddRecovery(const RecoveryConfig& config, std::vector<Setting>* settings) {
  settings->insert(
      settings->end(),
      {
          {"restore_command", RestoreCommand(config.program, config.spool)},
          {"recovery_target_lsn", config.record_start.ToString()},
          {"recovery_target_inclusive", "on"},
          {"recovery_target_action", "pause"},
          // Never "latest": that may leave the wanted line (internals 14).
          {"recovery_target_timeline", std::to_string(config.timeline)},
          {"recovery_end_command", ""},
          {"archive_cleanup_command", ""},
          {"primary_conninfo", ""},
          {"primary_slot_name", ""},
          {"hot_standby", "on"},
          // On, with nothing to archive with: promotion then leaves .ready files, which the live archiver ships later (internals 12).
          {"archive_mode", "on"},
          {"synchronous_standby_names", ""},
          {"recovery_prefetch", "try"},
          {"recovery_init_sync_method", "syncfs"},
      });
}

// A server that is read from, by sessions that are let in as whoever asks.
void AddLook(const RecoveryConfig& config, std::vector<Setting>* settings) {
  if (!config.is_look) {
    return;
  }
  settings->insert(settings->end(),
                   {
                       // Nothing here is ever shipped, nor may anything that it wrote be.
                       {"archive_mode", "off"},
                       // Whoever asked may be gone in the middle of a query, with the whole server.
                       {"client_connection_check_interval", "1s"},
                   });
  if (config.stands_by) {
    // At the end of all the WAL that it has; there is no more.
    settings->insert(settings->end(), {
                                          {"restore_command", ""},
                                          {"recovery_target_lsn", ""},
                                          {"recovery_target_timeline", "latest"},
                                      });
  }
}

void AddComparedSettings(const ControlSettings& least, std::vector<Setting>* settings) {
  settings->insert(
      settings->end(),
      {
          {"max_connections", AtLeast(least.max_connections, 20)},
          {"max_worker_processes", AtLeast(least.max_worker_processes, 0)},
          {"max_wal_senders", AtLeast(least.max_wal_senders, 0)},
          {"max_prepared_transactions", AtLeast(least.max_prepared_transactions, 0)},
          {"max_locks_per_transaction", AtLeast(least.max_locks_per_transaction, 64)},
          {"wal_level", least.wal_level >= 2 ? "logical" : "replica"},
          {"wal_log_hints", least.wal_log_hints ? "on" : "off"},
          // Off would remove the commit times of the past at promotion (commit_ts.c CompleteCommitTsInitialization, 15).
          {"track_commit_timestamp", least.track_commit_timestamp ? "on" : "off"},
      });
}

void AddSpeed(const RecoveryConfig& config, std::vector<Setting>* settings) {
  const std::uint64_t segment = config.segment_size;
  settings->insert(
      settings->end(),
      {
          // The directory is made again when the machine dies; at the end its file systems are synced as a whole (internals 10).
          // Of an incomplete one the map of what has come must follow, and it follows fsync (internals 2).
          {"fsync", config.is_incomplete ? "on" : "off"},
          {"synchronous_commit", "off"},
          // Restartpoints only bound the restored WAL that lies in pg_wal: 8 GiB at most, 8 segments where those are large.
          {"checkpoint_timeout", "1d"},
          {"max_wal_size", Megabytes(std::max<std::uint64_t>(8ULL << 30, 8 * segment))},
          {"min_wal_size", Megabytes(std::max<std::uint64_t>(80ULL << 20, 2 * segment))},
          {"wal_recycle", "off"},
      });
}

std::string PreloadList(const RecoveryConfig& config) {
  const std::string& ours = config.library;
  if (ours.empty() || config.preload_libraries.find(ours) != std::string::npos) {
    return config.preload_libraries;
  }
  return ours + (config.preload_libraries.empty() ? "" : ", " + config.preload_libraries);
}

// Without it recovery takes such a folder for the leftover of a tablespace that was dropped, and ends when it is consistent
// (xlogrecovery.c CheckTablespaceDirectory, 15).
void AddTablespaces(const RecoveryConfig& config, std::vector<Setting>* settings) {
  if (config.has_in_place_tablespaces) {
    settings->push_back({"allow_in_place_tablespaces", "on"});
  }
}

// What the user's settings must not change under an incomplete directory: last of all.
void AddDemand(const RecoveryConfig& config, std::vector<Setting>* settings) {
  if (!config.is_incomplete) {
    return;
  }
  settings->push_back({"fsync", "on"});
  if (config.fetch_workers > 0) {
    settings->push_back({"pitr.fetch_workers", std::to_string(config.fetch_workers)});
    settings->push_back({"pitr.encryption_key_file", config.keys.file});
    settings->push_back({"pitr.encryption_key_command", config.keys.command});
  }
  if (config.server_major >= 18) {
    settings->push_back(
        {"io_method",
         "sync"});  // its own reads of missing pages would stand in three workers' line (internals 26)
  }
}

void AddQuiet(const RecoveryConfig& config, std::vector<Setting>* settings) {
  settings->insert(settings->end(), {
                                        {"ssl", "off"},
                                        {"shared_preload_libraries", PreloadList(config)},
                                        {"session_preload_libraries", ""},
                                        {"local_preload_libraries", ""},
                                        // The end of the log is shown to people and searched by us.
                                        {"lc_messages", "C"},
                                        {"log_min_messages", "warning"},
                                        {"log_line_prefix", "%m [%p] "},
                                        {"log_statement", "none"},
                                        {"log_min_duration_statement", "-1"},
                                        {"log_min_error_statement", "panic"},
                                        {"log_checkpoints", "off"},
                                        {"log_connections", "off"},
                                        {"track_counts", "off"},
                                    });
  if (config.server_major >= 17) {
    settings->push_back({"event_triggers", "off"});  // login triggers of the past
  }
}

// For the shell: one word in single quotes. For the server: a percent sign begins a placeholder, two are one.
std::string ShellWord(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    switch (c) {
      case '\'':
        word += "'\\''";
        break;
      case '%':
        word += "%%";
        break;
      default:
        word += c;
    }
  }
  return word + "'";
}

std::string FileText(const std::vector<Setting>& settings) {
  std::string text;
  for (const auto& [name, value] : settings) {
    text += ConfigLine(name, value);
  }
  return text;
}

}  // namespace

Result<std::vector<Setting>> ParseSettings(std::string_view text) {
  std::vector<Setting> settings;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string_view part = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.empty()) {
      continue;
    }
    const std::size_t equals = part.find('=');
    const std::string_view name = Trim(part.substr(0, std::min(equals, part.size())));
    if (equals == std::string_view::npos || !IsSettingName(name)) {
      return Status(Code::kInvalidArgument, "\"" + std::string(part) + "\" is not name=value");
    }
    std::string_view value = Trim(part.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '\'' && value.back() == '\'') {
      value = value.substr(1, value.size() - 2);
    }
    settings.emplace_back(ToLowerAscii(name), value);
  }
  return settings;
}

Result<std::string> RecoveryConfigText(const RecoveryConfig& config,
                                       std::vector<std::string>* ignored) {
  std::vector<Setting> settings = {
      {"unix_socket_directories", config.socket_directory},
      {"unix_socket_permissions", "0700"},
      {"port", std::to_string(config.port)},
  };
  AddIsolation(&settings);
  AddRecovery(config, &settings);
  AddComparedSettings(config.settings, &settings);
  AddSpeed(config, &settings);
  AddQuiet(config, &settings);
  AddTablespaces(config, &settings);
  // Last in the file, so that they win; the reserved ones do not get that far.
  PITR_ASSIGN_OR_RETURN(const std::vector<Setting> wanted, ParseSettings(config.recovery_settings));
  for (const Setting& setting : wanted) {
    if (!IsReserved(setting.first)) {
      settings.push_back(setting);
    } else if (ignored != nullptr) {
      ignored->push_back(setting.first);
    }
  }
  AddDemand(config, &settings);
  AddLook(config, &settings);
  return "# Generated; the server that recovers this directory ends with its build.\n" +
         FileText(settings);
}

std::vector<Setting> PrivateServerSettings(const std::string& socket_directory, int port,
                                           const std::string& preload_libraries,
                                           std::uint32_t server_major) {
  std::vector<Setting> settings = {
      {"unix_socket_directories", socket_directory},
      {"unix_socket_permissions", "0700"},
      {"port", std::to_string(port)},
  };
  AddIsolation(&settings);
  settings.insert(settings.end(), {
                                      {"fsync", "off"},
                                      {"synchronous_commit", "off"},
                                      {"wal_level", "replica"},
                                      {"archive_mode", "off"},
                                      {"max_worker_processes", "0"},
                                      {"max_connections", "20"},
                                      {"shared_preload_libraries", preload_libraries},
                                      {"lc_messages", "C"},
                                      {"log_min_error_statement", "panic"},
                                      {"log_statement", "none"},
                                  });
  if (server_major >= 17) {
    settings.push_back({"event_triggers", "off"});
  }
  return settings;
}

std::string StagingHbaText() { return "local all all trust\n"; }

std::string StagingIdentText() { return "# empty\n"; }

std::string RestoreCommand(std::string_view program, std::string_view spool) {
  const std::string get = ShellWord(program) + " wal-get \"%f\" \"%p\"";
  if (spool.empty()) {
    return get;
  }
  // As TakeFromSpool and MoveSpoolPosition do, but for removing what was made twice; the program does when it runs next. The group
  // never fails once the file is there.
  const std::string word = ShellWord(spool);
  return "mv -f " + word + "/\"%f\" \"%p\" 2>/dev/null && { printf %%s \"%f\" >" + word +
         "/position || :; } || " + get;
}

std::string ConfigLine(std::string_view name, std::string_view value) {
  // guc-file.l, GUC_scanstr (15): a quote is doubled, a backslash begins an escape.
  std::string line(name);
  line += " = '";
  for (const char c : value) {
    if (c == '\'' || c == '\\') {
      line += c;
    }
    line += c;
  }
  return line + "'\n";
}

std::vector<Setting> LiveTrialSettings(const LiveSettings& live) {
  std::vector<Setting> settings;
  for (const std::string& option : live.options) {
    const std::size_t equals = option.find('=');
    if (equals != std::string::npos) {
      settings.emplace_back(option.substr(0, equals), option.substr(equals + 1));
    }
  }
  // What comes later on a command line wins.
  settings.insert(settings.end(),
                  {
                      // Debian's postgresql.conf names the data directory, which would win over -D.
                      {"data_directory", live.directory},
                      {"config_file", live.config_file},
                      {"hba_file", live.hba_file},
                      {"ident_file", live.ident_file},
                      {"unix_socket_directories", live.socket_directory},
                      {"unix_socket_permissions", "0700"},
                      {"port", std::to_string(live.port)},
                  });
  AddIsolation(&settings);
  settings.insert(
      settings.end(),
      {
          {"lc_messages", "C"},
          // No background worker of any library acts while the directory is only tried (pg_cron and the like).
          {"max_worker_processes", "0"},
          {"recovery_init_sync_method", "syncfs"},
      });
  if (!live.keep_fsync) {
    settings.push_back({"fsync", "off"});
  }
  return settings;
}

std::vector<std::string> AsArguments(const std::vector<Setting>& settings) {
  std::vector<std::string> arguments;
  for (const auto& [name, value] : settings) {
    arguments.push_back("-c");
    arguments.push_back(name + "=" + value);
  }
  return arguments;
}

}  // namespace pitr::tool
