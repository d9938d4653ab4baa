#include "pg/compute.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iterator>

#include "core/base/ascii.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/repo/identity.h"
#include "core/work/idle_server.h"
#include "core/work/living_server.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/branch_source.h"
#include "pg/child.h"
#include "pg/guc_branch.h"
#include "pg/operation_slots.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/postmaster.h"
}

namespace pitr::pg {

namespace {

constexpr long kPollMs = 20;

std::optional<ProcessMark> HostOfThisServer() {
  const char* text = std::getenv(std::string(kHostVariable).c_str());
  return text == nullptr ? std::nullopt : ParseMark(text);
}

bool IsIdentityOf(const std::string& directory, const BranchId& id) {
  const Result<Identity> identity = LoadIdentity(directory);
  return identity.ok() && identity->branch_id == id;
}

}  // namespace

bool IsCompute() { return HostOfThisServer().has_value(); }

Result<std::string> HostMark() {
  if (const auto host = HostOfThisServer()) return FormatMark(*host);
  const std::optional<ProcessMark> mark = MarkOfProcess(PostmasterPid);
  if (mark) return FormatMark(*mark);
  return Status(Code::kInternal, "this server's own postmaster was not found in /proc");
}

Result<std::string> ComputesDirectory() {
  if (!IsCompute()) return BranchDirectory();
  PITR_ASSIGN_OR_RETURN(const std::string real, RealDataDirectory());
  return DirectoryName(real);
}

bool HasComputeHere(const Branch& branch) {
  return branch.compute && !branch.deleted_at && IsOurDirectory(branch);
}

std::optional<std::string> DirectoryOf(const Branch& branch, const BranchId& self) {
  if (branch.id == self) return DataDirectory();
  if (HasComputeHere(branch)) return branch.directory;
  const std::optional<ProcessMark> host = HostOfThisServer();
  if (!host || !IsAlive(*host)) return std::nullopt;
  const std::string directory = WorkingDirectoryOf(host->pid);
  return IsIdentityOf(directory, branch.id) ? std::optional(directory) : std::nullopt;
}

std::string StateOf(const Branch& branch) {
  if (branch.deleted_at) return "deleted";
  const bool is_under_way = branch.state == "creating" || branch.state == "restoring";
  if (branch.built && !is_under_way) return "built";
  if (!branch.compute || is_under_way || !HasComputeHere(branch)) return branch.state;
  return LivingServer(*branch.directory) ? "running" : "stopped";
}

std::vector<std::string> SocketDirectories() {
  return SplitAtCommas(SettingValue("unix_socket_directories"));
}

std::string ConnectionText(int port) {
  const std::vector<std::string> directories = SocketDirectories();
  return "host=" + (directories.empty() ? std::string("localhost") : directories.front()) +
         " port=" + std::to_string(port);
}

std::string ComputeLog(const std::string& directory) { return directory + ".log"; }

bool IsFixedSetting(const std::string& name) {
  constexpr std::string_view kFixed[] = {
      "archive_",
      "bonjour",
      "config_file",
      "data_directory",
      "external_pid_file",
      "hba_file",
      "hot_standby",
      "ident_file",
      "listen_addresses",
      "pitr.branch_directory",
      "pitr.repository",
      "port",
      "primary_",
      "recovery_",
      "restart_after_crash",
      "restore_command",
      "shared_preload_libraries",
      "unix_socket_",
      "wal_level",
  };
  for (const std::string_view fixed : kFixed) {
    if (fixed.back() == '_' ? name.starts_with(fixed) : name == fixed) return true;
  }
  return false;
}

bool GoesAlong(const std::string& name) {
  constexpr std::string_view kAlong[] = {"pitr.repository", "shared_preload_libraries",
                                         "unix_socket_group", "unix_socket_permissions",
                                         "wal_level"};
  return !IsFixedSetting(name) ||
         std::find(std::begin(kAlong), std::end(kAlong), name) != std::end(kAlong);
}

Result<Json> StartJob(const Branch& branch, bool hold) {
  const std::string& directory = *branch.directory;
  const BranchCompute& compute = *branch.compute;
  const auto inside = [&](const std::string& outside, const char* name) {
    return outside.empty() ? JoinPath(directory, name) : outside;
  };
  const std::string listen = CurrentBranchSettings().listen_addresses;
  const std::pair<const char*, std::string> settings[] = {
      {"data_directory", directory},
      {"config_file", inside(compute.config_file, "postgresql.conf")},
      {"hba_file", inside(compute.hba_file, "pg_hba.conf")},
      {"ident_file", inside(compute.ident_file, "pg_ident.conf")},
      {"port", std::to_string(compute.port)},
      {"listen_addresses", listen.empty() ? SettingValue("listen_addresses") : listen},
      {"unix_socket_directories", SettingValue("unix_socket_directories")},
      {"unix_socket_permissions", SettingValue("unix_socket_permissions")},
      {"unix_socket_group", SettingValue("unix_socket_group")},
      {"external_pid_file", ""},
      {"bonjour", "off"},
      {"archive_mode", "on"},
      {"archive_library", "pitr_ext"},
      {"archive_command", ""},
      // Beside its own directory.
      {"pitr.branch_directory", ""},
  };
  Json job;
  job["kind"] = "start";
  job["directory"] = directory;
  job["bin_directory"] = BinDirectory();
  job["program"] = PitrProgram();
  PITR_ASSIGN_OR_RETURN(job["host"], HostMark());
  job["log"] = ComputeLog(directory);
  job["hold"] = hold;
  // Its files are those of the server that it is built for, which it is not yet.
  if (branch.built) {
    PITR_ASSIGN_OR_RETURN(const Json live, LiveServerJson());
    job["branch_settings"] = SettingsBeside(live, {});
  }
  job["settings"] = Json::array();
  for (const auto& [name, value] : settings)
    job["settings"].push_back(std::string(name) + "=" + value);
  return job;
}

Json GoAnswer(bool go) {
  Json answer;
  answer["go"] = go;
  return answer;
}

Status StartCompute(const Branch& branch, const std::function<bool()>& cancelled,
                    const std::function<Result<bool>()>& is_wanted) {
  PITR_ASSIGN_OR_RETURN(const Json job, StartJob(branch, false));
  return RunJob(job, cancelled,
                [&]() -> Result<Json> {
                  PITR_ASSIGN_OR_RETURN(const bool go, is_wanted());
                  return GoAnswer(go);
                })
      .status();
}

namespace {

// Nothing runs, nothing is held, and nobody is about to change that who has not asked the catalogue yet.
Result<bool> IsQuiet(const std::string& directory) {
  Result<File> lock = TryLockStart(directory);
  if (lock.status().code() == Code::kNotFound) return true;
  PITR_RETURN_IF_ERROR(lock.status());
  if (!lock->is_open() || LivingServer(directory) || LivingHolder(directory)) return false;
  PITR_RETURN_IF_ERROR(ForgetIdle(directory));
  return true;
}

}  // namespace

Status StopServer(const std::string& directory, int signal, std::int64_t patience_ms) {
  const std::int64_t give_up = SystemClock().MonotonicMillis() + patience_ms;
  std::optional<pid_t> told;
  for (;;) {
    const std::optional<pid_t> pid = LivingServer(directory);
    if (!pid) {
      PITR_RETURN_IF_ERROR(SignalHolder(directory, SIGTERM).status());
      PITR_ASSIGN_OR_RETURN(const bool is_quiet, IsQuiet(directory));
      if (is_quiet) return Status::Ok();
    } else if (pid != told) {
      PITR_RETURN_IF_ERROR(SignalServer(directory, signal).status());
      told = pid;
    }
    if (SystemClock().MonotonicMillis() >= give_up) {
      return Status(Code::kLockTimeout, "the server in \"" + directory + "\" did not stop in time")
          .WithHint("Its log is \"" + ComputeLog(directory) + "\".");
    }
    NapOnLatch(kPollMs);
    CheckInterrupts();
  }
}

}  // namespace pitr::pg
