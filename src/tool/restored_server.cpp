#include "tool/restored_server.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/file.h"
#include "tool/demand_settings.h"
#include "tool/programs.h"

namespace pitr::tool {

namespace {

constexpr std::string_view kLibrary = kLibraryName;
constexpr std::uint64_t kMaxPidFile = 4096;

std::string Bare(std::string_view item) {
  item = Trimmed(item);
  if (item.size() >= 2 && item.front() == '"' && item.back() == '"') {
    item = item.substr(1, item.size() - 2);
  }
  return std::string(item);
}

// What the server's configuration preloads without us, where it would preload us and cannot.
std::optional<std::string> LibrariesToLeave(const RestoredServer& server) {
  if (IsLibraryInstalled(server.bin_directory)) {
    return std::nullopt;
  }
  const Result<std::string> libraries =
      SettingOf(server.bin_directory, server.directory, "shared_preload_libraries");
  return libraries.ok() ? WithoutOurLibrary(*libraries) : std::nullopt;
}

// For pg_ctl, which hands it to a shell.
std::string ShellWord(const std::string& text) {
  std::string word = "'";
  for (const char c : text) {
    word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return word + "'";
}

// "psql -h DIRECTORY -p PORT postgres", from the lines of postmaster.pid (pidfile.h: 4 is the port, 5 the socket directory).
std::string ConnectCommand(const RestoredServer& server) {
  const Result<Bytes> file = ReadFile(JoinPath(server.directory, "postmaster.pid"), kMaxPidFile);
  std::vector<std::string> lines;
  for (std::string_view rest = file.ok() ? AsText(*file) : std::string_view(); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    lines.emplace_back(Trimmed(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::string command = JoinPath(server.bin_directory, "psql");
  if (lines.size() > 4) {
    command += (lines[4].empty() ? " -h localhost" : " -h " + lines[4]) + " -p " + lines[3];
  }
  return command + " postgres";
}

}  // namespace

std::optional<std::string> WithoutOurLibrary(const std::string& libraries) {
  std::string others;
  bool has_ours = false;
  for (std::string_view rest = libraries; !rest.empty();) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string item = Bare(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (item == kLibrary || item == "$libdir/" + std::string(kLibrary)) {
      has_ours = true;
    } else if (!item.empty()) {
      others += (others.empty() ? "" : ",") + item;
    }
  }
  return has_ours ? std::optional(others) : std::nullopt;
}

Status StartRestored(const RestoredServer& server) {
  const std::string log = JoinPath(server.directory, "pitr/start.log");
  std::vector<std::string> command = {JoinPath(server.bin_directory, "pg_ctl"),
                                      "start",
                                      "-w",
                                      "-s",
                                      "-D",
                                      server.directory,
                                      "-l",
                                      log};
  if (const std::optional<std::string> libraries = LibrariesToLeave(server)) {
    command.emplace_back("-o");
    command.push_back("-c shared_preload_libraries=" + ShellWord(*libraries));
  }
  PITR_ASSIGN_OR_RETURN(const int status, RunProgram(command));
  return status == 0 ? Status::Ok()
                     : Status(Code::kNotReady, "the restored server does not start")
                           .WithDetail("Its log is \"" + log + "\".")
                           .WithHint(
                               "The directory is as it should be: mend what the log says and "
                               "start it with pg_ctl.");
}

std::vector<std::string> NextSteps(const RestoredServer& server, bool is_started) {
  const std::string pg_ctl = JoinPath(server.bin_directory, "pg_ctl");
  const bool lacks_library = LibrariesToLeave(server).has_value();
  std::vector<std::string> steps;
  if (lacks_library) {
    steps.push_back(std::string("install the extension pitr_ext for this PostgreSQL") +
                    (is_started ? ", then " + pg_ctl + " stop -D " + server.directory +
                                      " and start it again; until then WAL is kept and not archived"
                                : ""));
  }
  if (!is_started) {
    steps.push_back("start the server: " + pg_ctl + " start -D " + server.directory);
  }
  if (server.is_incomplete) {
    steps.push_back(
        "keep the repository within reach until SELECT * FROM pitr_complete_branch() says done: "
        "what is missing is loaded from it");
  }
  steps.push_back("look whether it is what you want" +
                  (is_started ? ": " + ConnectCommand(server) : std::string()));
  steps.push_back("look at postgresql.conf and pg_hba.conf in " + server.directory +
                  ": addresses, memory and files of the old machine");
  steps.push_back("SELECT * FROM pitr_check(): the server archives as branch \"" + server.branch +
                  "\" of the same repository");
  for (std::size_t i = 0; i < steps.size(); i++) {
    steps[i].insert(0, std::to_string(i + 1) + ". ");
  }
  return steps;
}

}  // namespace pitr::tool
