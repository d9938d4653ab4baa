// `pitr guard`: started before an exchange is armed, watches until the new directory has served its first "ready" (internals 9). If the
// server ends or hangs before that, the postmaster's own callback exchanges back on its way out, and the guard starts it again. If the
// postmaster was killed and could not, and the new directory does not start, the guard exchanges back itself.
//
// It decides by one thing only, the intent in the live directory: gone, or of another exchange, or confirmed means that all is well.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/repo/intent.h"
#include "core/work/living_server.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/guard_back.h"
#include "tool/job_fields.h"
#include "tool/signals.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

constexpr std::chrono::milliseconds kPoll(100);
// A service manager that restarts the server itself gets the first chance.
constexpr std::chrono::seconds kOthersFirst(2);
constexpr std::chrono::seconds kQuitPatience(10);
constexpr std::chrono::seconds kStartPatience(60);
constexpr int kStartAttempts = 3;

struct Watched {
  std::string directory, nonce, options_file;
  pid_t postmaster = 0;
  std::chrono::seconds timeout{};
  int server_output = -1;  // where the server wrote to; a server that we start goes on there
};

struct CommandLine {
  std::string program;  // argv[0] may be a bare name
  std::vector<std::string> arguments, environment;
  std::string working_directory;
};

void Say(const std::string& text) {
  std::fprintf(stderr, "%s pitr guard: %s\n", FormatTime(SystemClock().Now(), 3).c_str(),
               text.c_str());
}

// Not for a zombie, which nobody may ever reap: "<pid> (<name>) <state> …" in proc(5).
bool IsAlive(pid_t pid) {
  const Result<std::string> text = ReadTextFile("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!text.ok()) {
    return false;
  }
  const std::size_t name_end = text->rfind(") ");
  return name_end == std::string::npos || text->compare(name_end + 2, 1, "Z") != 0;
}

// The exchange is over, one way or the other. An intent that cannot be read says nothing.
bool IsOver(const Watched& watched) {
  const Result<Intent> intent = ReadIntent(watched.directory);
  if (!intent.ok()) {
    return intent.status().code() == Code::kNotFound && PathExists(watched.directory);
  }
  return intent->nonce != watched.nonce || intent->state == "confirmed";
}

Result<CommandLine> ReadCommandLine(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, 4U << 20));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "\"" + path + "\""));
  CommandLine line;
  PITR_ASSIGN_OR_RETURN(line.program, JsonText(json, "program"));
  PITR_ASSIGN_OR_RETURN(line.working_directory, JsonText(json, "cwd"));
  const std::pair<const char*, std::vector<std::string>*> lists[] = {{"argv", &line.arguments},
                                                                     {"env", &line.environment}};
  for (const auto& [member, texts] : lists) {
    if (JsonArray(json, member) == nullptr) {
      return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is missing");
    }
    PITR_ASSIGN_OR_RETURN(*texts, JsonTexts(json, member));
  }
  if (line.arguments.empty()) {
    return Status(Code::kCorrupt, "member \"argv\" is empty");
  }
  return line;
}

// The server with its own command line, in a session of its own; its output goes where it went, or else where ours goes.
Result<pid_t> StartServer(CommandLine line, int output) {
  std::vector<char*> arguments = ExecPointers(&line.arguments);
  std::vector<char*> environment = ExecPointers(&line.environment);
  const pid_t child = ForkWithSignalsBlocked();
  if (child < 0) {
    return Status::FromErrno(errno, "start the server");
  }
  if (child == 0) {
    ResetSignalsInChild();
    ::setsid();
    if (::chdir(line.working_directory.c_str()) == 0) {
      if (output >= 0) {
        ::dup2(output, 1);
        ::dup2(output, 2);
      }
      ::close_range(3, ~0U, 0);
      ::execve(line.program.c_str(), arguments.data(), environment.data());
    }
    ::_exit(127);
  }
  return child;
}

// The server in the directory has come up; nobody is let in before its launcher has confirmed.
bool IsReady(const Watched& watched) {
  if (!LivingServer(watched.directory)) return false;
  const Result<std::string> text =
      ReadTextFile(JoinPath(watched.directory, "postmaster.pid"), 16384);
  return text.ok() && (text->find("\nready") != std::string::npos ||
                       text->find("\nstandby") != std::string::npos);
}

bool IsGood(const Watched& watched) { return IsOver(watched) || IsReady(watched); }

// While some process holds the directory or `child` lives: whether it came up before it ended or `patience` was over.
enum class Attempt { kGood, kEnded, kHangs };
Attempt Await(const Watched& watched, pid_t child, std::chrono::seconds patience) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < give_up) {
    if (IsGood(watched)) return Attempt::kGood;
    // Its zombie would look alive: we do not wait for children (SIGCHLD is ignored).
    if (!(child != 0 && IsAlive(child)) && !LivingServer(watched.directory)) {
      return Attempt::kEnded;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return Attempt::kHangs;
}

// A service manager that restarts the server itself: somebody holds the directory before we try.
bool OthersTry(const Watched& watched) {
  const auto give_up = std::chrono::steady_clock::now() + kOthersFirst;
  while (std::chrono::steady_clock::now() < give_up) {
    if (IsGood(watched) || LivingServer(watched.directory)) return true;
    std::this_thread::sleep_for(kPoll);
  }
  return false;
}

// A few starts, ours or others'; the first that comes up, or does not end, is left alone.
Result<bool> TryStarts(const Watched& watched, const CommandLine& line) {
  for (int attempt = 1; attempt <= kStartAttempts; attempt++) {
    pid_t child = 0;
    if (OthersTry(watched)) {
      Say("the server is started by somebody else");
    } else {
      Say("starting the server, attempt " + std::to_string(attempt));
      PITR_ASSIGN_OR_RETURN(child, StartServer(line, watched.server_output));
    }
    const Attempt ended = Await(watched, child, kStartPatience);
    if (ended == Attempt::kGood) {
      Say("the server runs again");
      return true;
    }
    if (ended == Attempt::kHangs) {
      Say("the server is neither up nor down after a minute and is left alone");
      return true;
    }
  }
  return false;
}

// Until a server holds the directory, the restored one or the old one.
Status BringBack(const Watched& watched) {
  PITR_ASSIGN_OR_RETURN(const CommandLine line, ReadCommandLine(watched.options_file));
  PITR_ASSIGN_OR_RETURN(bool runs, TryStarts(watched, line));
  if (runs) return Status::Ok();
  // Whoever holds the directory now has won the race; if that fails too, the next round finds it.
  const Status back = ExchangeBack(watched.directory, watched.nonce);
  Say(back.ok() ? "the directory does not start: the data directory from before the restore is back"
                : back.ToString());
  PITR_ASSIGN_OR_RETURN(runs, TryStarts(watched, line));
  return runs ? Status::Ok() : Status(Code::kNotReady, "the server could not be started again");
}

// SIGQUIT: the callback in the dying postmaster exchanges back when the exchange is not confirmed.
void EndPostmaster(const Watched& watched) {
  ::kill(watched.postmaster, SIGQUIT);
  const auto give_up = std::chrono::steady_clock::now() + kQuitPatience;
  while (IsAlive(watched.postmaster) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(kPoll);
  }
  if (IsAlive(watched.postmaster)) {
    Say("the postmaster does not end, killing it");
    ::kill(watched.postmaster, SIGKILL);
    while (IsAlive(watched.postmaster)) {
      std::this_thread::sleep_for(kPoll);
    }
  }
}

Status Watch(const Watched& watched) {
  const auto deadline = std::chrono::steady_clock::now() + watched.timeout;
  for (;;) {
    if (IsOver(watched)) {
      Say("the exchange is over");
      return Status::Ok();
    }
    if (!IsAlive(watched.postmaster)) {
      Say("the server ended before the exchange was confirmed");
      break;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      Say("the exchange is not confirmed in time, ending the server");
      EndPostmaster(watched);
      break;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return BringBack(watched);
}

// A session of our own, no terminal, no pipe of the worker, and deaf to what is meant for the server.
Status Detach(const std::string& log_file, int kept) {
  if (::getpid() == ::getpgrp() && ::getsid(0) != ::getpid()) {
    // setsid refuses a leader of a group; a child is none.
    const pid_t child = ::fork();
    if (child != 0) {
      ::_exit(child < 0 ? kExitFailed : kExitDone);
    }
  }
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD}) {
    std::signal(signal, SIG_IGN);
  }
  PITR_ASSIGN_OR_RETURN(const File nothing, File::Open("/dev/null", O_RDWR));
  PITR_ASSIGN_OR_RETURN(const File log, File::Open(log_file.empty() ? "/dev/null" : log_file,
                                                   O_WRONLY | O_CREAT | O_APPEND));
  if (::dup2(nothing.fd(), 0) < 0 || ::dup2(log.fd(), 1) < 0 || ::dup2(log.fd(), 2) < 0) {
    return Status::FromErrno(errno, "redirect output");
  }
  ::close_range(kept >= 3 ? static_cast<unsigned>(kept) + 1 : 3U, ~0U, 0);
  // So that no file system or old directory is held busy.
  return ::chdir("/") == 0 ? Status::Ok() : Status::FromErrno(errno, "change to \"/\"");
}

Result<Watched> ParseWatched(const Options& options) {
  Watched watched;
  PITR_ASSIGN_OR_RETURN(watched.directory, options.Required("directory"));
  PITR_ASSIGN_OR_RETURN(watched.nonce, options.Required("nonce"));
  PITR_ASSIGN_OR_RETURN(watched.options_file, options.Required("options-file"));
  PITR_ASSIGN_OR_RETURN(const std::string pid, options.Required("pid"));
  PITR_ASSIGN_OR_RETURN(const std::int64_t number, options.NumberOr("pid", 0, 1, INT32_MAX));
  PITR_ASSIGN_OR_RETURN(const std::int64_t seconds, options.NumberOr("timeout", 60, 1, 86400));
  PITR_ASSIGN_OR_RETURN(const std::int64_t output, options.NumberOr("server-output", -1, 3, 3));
  watched.server_output = static_cast<int>(output);
  watched.postmaster = static_cast<pid_t>(number);
  watched.timeout = std::chrono::seconds(seconds);
  return watched;
}

}  // namespace

int GuardMain(const std::vector<std::string>& arguments) {
  const Result<Options> options = Options::Parse(arguments,
                                                 {{"directory"},
                                                  {"pid"},
                                                  {"nonce"},
                                                  {"timeout"},
                                                  {"bin-directory"},
                                                  {"options-file"},
                                                  {"server-output"},
                                                  {"log"}},
                                                 0);
  if (!options.ok()) {
    return FailUsage("guard", options.status());
  }
  const Result<Watched> watched = ParseWatched(*options);
  if (!watched.ok()) {
    return FailUsage("guard", watched.status());
  }
  const Status detached = Detach(options->TextOr("log", ""), watched->server_output);
  if (!detached.ok()) {
    return Fail("guard", detached);
  }
  const Status status = Watch(*watched);
  if (!status.ok()) {
    Say(status.ToString());
    return kExitFailed;
  }
  return kExitDone;
}

}  // namespace pitr::tool
