// `pitr compute`: runs the server of a branch beside the one that it belongs to, its host. Parent of the postmaster, so that its pid is
// nobody else's as long as we look at it, and in a session of its own, so that what the host's postmaster signals passes by. It sleeps
// until one of the two ends:
// - the host's postmaster, however: the branch's server is stopped, at once if a fast stop takes too long. The next life of the host
//   starts it again.
// - the branch's server: nothing is left to do. Whether it shall run is the host's business.
// When this process is killed, the kernel tells the postmaster to stop.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/process.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/options.h"
#include "tool/signals.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

// Nobody finds an orphan 5 s after the host was killed.
constexpr int kFastMs = 3000;
constexpr int kImmediateMs = 6000;
// Should the kernel have no descriptors of processes.
constexpr int kLookMs = 500;

struct Compute {
  std::string directory, program, log;
  ProcessMark host;
  std::vector<std::string> arguments;  // of the server, behind -D
};

void Say(const std::string& text) {
  std::fprintf(stderr, "%s pitr compute: %s\n", FormatTime(SystemClock().Now(), 3).c_str(),
               text.c_str());
}

File OpenProcess(pid_t pid) { return File(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// Between fork and exec: system calls only.
[[noreturn]] void RunPostmaster(const char* program, char** arguments, char** environment,
                                pid_t parent) {
  ResetSignalsInChild();
  ::setsid();
  // Survives exec. When the parent died before, nobody will send it.
  ::prctl(PR_SET_PDEATHSIG, SIGINT);
  if (::getppid() == parent) {
    ::close_range(3, ~0U, 0);
    ::execve(program, arguments, environment);
  }
  ::_exit(127);
}

Result<pid_t> StartPostmaster(const Compute& compute) {
  std::vector<std::string> arguments = {compute.program, "-D", compute.directory};
  arguments.insert(arguments.end(), compute.arguments.begin(), compute.arguments.end());
  std::vector<std::string> environment =
      ServerEnvironment({{std::string(kHostVariable), FormatMark(compute.host)}});
  std::vector<char*> argument_pointers = ExecPointers(&arguments);
  std::vector<char*> environment_pointers = ExecPointers(&environment);
  const pid_t self = ::getpid();
  const pid_t child = ForkWithSignalsBlocked();
  if (child < 0) {
    return Status::FromErrno(errno, "start \"" + compute.program + "\"");
  }
  if (child == 0) {
    RunPostmaster(compute.program.c_str(), argument_pointers.data(), environment_pointers.data(),
                  self);
  }
  return child;
}

// Not reaped: until then nobody else has its pid.
bool HasEnded(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

// True when it ended in time.
bool AwaitEnd(pid_t child, const File& process, int patience_ms) {
  const std::int64_t until = SystemClock().MonotonicMillis() + patience_ms;
  while (!HasEnded(child)) {
    const std::int64_t left = until - SystemClock().MonotonicMillis();
    if (left <= 0) {
      return false;
    }
    pollfd event = {process.fd(), POLLIN, 0};
    ::poll(&event, 1,
           static_cast<int>(process.is_open() ? left : std::min<std::int64_t>(left, 50)));
  }
  return true;
}

void Stop(pid_t child, const File& process) {
  const std::pair<int, int> steps[] = {{SIGINT, kFastMs}, {SIGQUIT, kImmediateMs}};
  for (const auto& [signal, patience] : steps) {
    ::kill(child, signal);
    if (AwaitEnd(child, process, patience)) {
      return;
    }
  }
  ::kill(child, SIGKILL);
}

Status Supervise(const Compute& compute) {
  const File host = OpenProcess(compute.host.pid);
  // Behind the descriptor, which then is of this process and of no later one.
  if (!IsAlive(compute.host)) {
    return Status(Code::kNotReady, "the server that branch directory \"" + compute.directory +
                                       "\" belongs to is gone");
  }
  PITR_ASSIGN_OR_RETURN(const pid_t child, StartPostmaster(compute));
  const File process = OpenProcess(child);
  const bool can_sleep = host.is_open() && process.is_open();
  while (!HasEnded(child)) {
    if (!IsAlive(compute.host)) {
      Say("the server that it belongs to has ended: stopping");
      Stop(child, process);
      break;
    }
    pollfd events[2] = {{host.fd(), POLLIN, 0}, {process.fd(), POLLIN, 0}};
    ::poll(events, 2, can_sleep ? -1 : kLookMs);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Say(WIFSIGNALED(status) ? "the server was ended by signal " + std::to_string(WTERMSIG(status))
                          : "the server ended with status " + std::to_string(WEXITSTATUS(status)));
  return Status::Ok();
}

Result<Compute> ParseCompute(const Options& options) {
  Compute compute;
  PITR_ASSIGN_OR_RETURN(compute.directory, options.Required("directory"));
  PITR_ASSIGN_OR_RETURN(compute.program, options.Required("program"));
  PITR_ASSIGN_OR_RETURN(compute.log, options.Required("log"));
  PITR_ASSIGN_OR_RETURN(const std::string host, options.Required("host"));
  const std::optional<ProcessMark> mark = ParseMark(host);
  if (!mark) {
    return Status(Code::kInvalidArgument, "--host wants <pid>:<start>, not \"" + host + "\"");
  }
  compute.host = *mark;
  compute.arguments = options.positional();
  return compute;
}

// Nothing of the caller's but the descriptor whose closing tells it of our end.
Status Detach(const Compute& compute) {
  for (const int signal : {SIGHUP, SIGINT, SIGPIPE}) {
    std::signal(signal, SIG_IGN);
  }
  std::signal(SIGCHLD, SIG_DFL);
  PITR_ASSIGN_OR_RETURN(const File nothing, File::Open("/dev/null", O_RDONLY));
  PITR_ASSIGN_OR_RETURN(const File log,
                        File::Open(compute.log, O_WRONLY | O_CREAT | O_APPEND, 0600));
  if (::dup2(nothing.fd(), 0) < 0 || ::dup2(log.fd(), 1) < 0 || ::dup2(log.fd(), 2) < 0) {
    return Status::FromErrno(errno, "redirect output");
  }
  return ::chdir("/") == 0 ? Status::Ok() : Status::FromErrno(errno, "change to \"/\"");
}

}  // namespace

int ComputeMain(const std::vector<std::string>& arguments) {
  constexpr std::size_t kMostArguments = 1000;
  const Result<Options> options =
      Options::Parse(arguments, {{"directory"}, {"program"}, {"log"}, {"host"}}, kMostArguments);
  if (!options.ok()) {
    return FailUsage("compute", options.status());
  }
  const Result<Compute> compute = ParseCompute(*options);
  if (!compute.ok()) {
    return FailUsage("compute", compute.status());
  }
  Status status = Detach(*compute);
  if (status.ok()) {
    status = Supervise(*compute);
  }
  if (!status.ok()) {
    Say(status.ToString());
  }
  return status.ok() ? kExitDone : kExitFailed;
}

}  // namespace pitr::tool
