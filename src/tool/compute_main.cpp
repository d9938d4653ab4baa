// `pitr compute`: runs the server of a branch beside the one that it belongs to, its host. Parent of the postmaster, so that its pid is
// nobody else's as long as we look at it, and in a session of its own, so that what the host's postmaster signals passes by. It sleeps
// until something ends:
// - the host's postmaster, however: the branch's server is stopped, at once if a fast stop takes too long. The next life of the host
//   starts it again.
// - the branch's server: if it had asked for that since nobody was connected, its port and sockets are held (core/work/port_holder.h)
//   until somebody connects, and it is started again. Else nothing is left to do. Whether it shall run is the host's business.
// SIGTERM ends both, the server or the holding; SIGUSR1 starts a server that is held. When this process is killed, the kernel tells the
// postmaster to stop.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "core/base/ascii.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/process.h"
#include "core/work/idle_server.h"
#include "core/work/living_server.h"
#include "core/work/port_holder.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/inherited_lock.h"
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
// At a server that starts.
constexpr int kStartingMs = 50;
constexpr int kLockMs = 10000;

struct Compute {
  std::string directory, program, log;
  ProcessMark host;
  std::vector<std::string> arguments;  // of the server, behind -D
  bool hold = false;                   // begin with that
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

// Where the server listens, by its arguments: "-c", "name=value", ...
HeldPlace PlaceOf(const Compute& compute) {
  HeldPlace place;
  place.data_directory = compute.directory;
  for (const std::string& argument : compute.arguments) {
    const std::size_t equal = std::min(argument.find('='), argument.size());
    const std::string name = argument.substr(0, equal);
    const std::string value = equal < argument.size() ? argument.substr(equal + 1) : std::string();
    if (name == "port") {
      place.port = std::atoi(value.c_str());
    } else if (name == "listen_addresses") {
      place.listen_addresses = value;
    } else if (name == "unix_socket_directories") {
      place.socket_directories = SplitAtCommas(value);
    } else if (name == "unix_socket_permissions") {
      place.socket_mode = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 0));
    } else if (name == "unix_socket_group") {
      place.socket_group = value;
    }
  }
  return place;
}

class Supervisor {
 public:
  explicit Supervisor(const Compute& compute) : compute_(compute) {}
  Status Run();

 private:
  enum class After { kNothing, kHolding, kServer };

  Status Begin();
  bool IsHostGone() const { return !IsAlive(compute_.host); }
  int TakeSignal() const;
  void Wait(const File& process, int most_ms) const;
  Result<After> MayHold();
  Result<After> Hold();
  Result<After> RunServer();
  bool MustStop();
  void HandOver(pid_t child);

  const Compute& compute_;
  File host_, signals_;
  bool can_sleep_ = false;
  File lock_;  // until others can see that we hold, or our server
  std::unique_ptr<PortHolder> holder_;
};

Status Supervisor::Begin() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
  // Not for the server.
  if (::fcntl(kInheritedLock, F_SETFD, FD_CLOEXEC) == 0) {
    lock_ = File(kInheritedLock);
  }
  signals_ = File(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  host_ = OpenProcess(compute_.host.pid);
  can_sleep_ = host_.is_open();
  // Behind the descriptor, which then is of this process and of no later one.
  if (IsHostGone()) {
    return Status(Code::kNotReady, "the server that branch directory \"" + compute_.directory +
                                       "\" belongs to is gone");
  }
  return signals_.is_open() ? Status::Ok() : Status::FromErrno(errno, "wait for signals");
}

// 0: none has come.
int Supervisor::TakeSignal() const {
  signalfd_siginfo info{};
  return ::read(signals_.fd(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                                  : 0;
}

void Supervisor::Wait(const File& process, int most_ms) const {
  std::vector<pollfd> events = {
      {host_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}, {process.fd(), POLLIN, 0}};
  const int of_clients = holder_ ? holder_->Collect(&events) : -1;
  int wait = most_ms < 0 && !can_sleep_ ? kLookMs : most_ms;
  if (wait < 0 || (of_clients >= 0 && of_clients < wait)) {
    wait = of_clients;
  }
  ::poll(events.data(), events.size(), wait);
}

// The host has ended, or somebody wants us to.
bool Supervisor::MustStop() {
  if (IsHostGone()) {
    Say("the server that it belongs to has ended");
    return true;
  }
  return TakeSignal() == SIGTERM;
}

// A server has ended cleanly. Nobody decides otherwise while we do.
Result<Supervisor::After> Supervisor::MayHold() {
  // Who started it may wait for our end, with the lock.
  const std::int64_t give_up = SystemClock().MonotonicMillis() + kLockMs;
  for (;;) {
    if (!IsToBeHeld(compute_.directory) || SystemClock().MonotonicMillis() > give_up) {
      return After::kNothing;
    }
    Result<File> lock = TryLockStart(compute_.directory);
    if (lock.status().code() == Code::kNotFound) {
      return After::kNothing;  // the directory is gone
    }
    PITR_RETURN_IF_ERROR(lock.status());
    if (lock->is_open()) {
      lock_ = *std::move(lock);
      break;
    }
    if (MustStop()) {
      return After::kNothing;
    }
    Wait(File(), kStartingMs);
  }
  return IsToBeHeld(compute_.directory) ? After::kHolding : After::kNothing;
}

Result<Supervisor::After> Supervisor::Hold() {
  PITR_ASSIGN_OR_RETURN(holder_, PortHolder::Take(PlaceOf(compute_)));
  PITR_RETURN_IF_ERROR(BecomeHolder(compute_.directory));
  lock_ = File();
  Say("nobody is connected: holding its port");
  PITR_FAULT("idle.held");
  for (;;) {
    if (IsHostGone()) {
      // What says that it is idle stays: the next life of the host holds again.
      holder_.reset();
      return After::kNothing;
    }
    const int signal = TakeSignal();
    if (signal == SIGTERM) {
      holder_.reset();
      PITR_RETURN_IF_ERROR(ForgetIdle(compute_.directory));
      Say("let go of its port");
      return After::kNothing;
    }
    if (signal == SIGUSR1 || holder_->Serve()) {
      Say("starting");
      return After::kServer;
    }
    Wait(File(), -1);
  }
}

// From the moment that the server is ready, its sockets are its own.
void Supervisor::HandOver(pid_t child) {
  (void)holder_->Serve();
  if (LivingServer(compute_.directory) != child || ServerWord(compute_.directory) != "ready") {
    return;
  }
  holder_->GiveAway();
  holder_.reset();
  const Status status = ForgetIdle(compute_.directory);
  if (!status.ok()) {
    Say(status.ToString());
  }
}

Result<Supervisor::After> Supervisor::RunServer() {
  if (holder_) {
    holder_->MakeRoom();
    PITR_FAULT("idle.before_start");
    PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(compute_.directory, "postmaster.pid")));
  }
  PITR_ASSIGN_OR_RETURN(const pid_t child, StartPostmaster(compute_));
  const File process = OpenProcess(child);
  can_sleep_ = can_sleep_ && process.is_open();
  bool stopped = false;
  while (!stopped && !HasEnded(child)) {
    if (MustStop()) {
      Say("stopping");
      Stop(child, process);
      stopped = true;
    } else {
      if (lock_.is_open() && LivingServer(compute_.directory) == child) {
        lock_ = File();
      }
      if (holder_) {
        HandOver(child);
      }
      Wait(process, holder_ || lock_.is_open() ? kStartingMs : -1);
    }
  }
  lock_ = File();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Say(WIFSIGNALED(status) ? "the server was ended by signal " + std::to_string(WTERMSIG(status))
                          : "the server ended with status " + std::to_string(WEXITSTATUS(status)));
  if (holder_) {
    // It never was ready: the host shall hear why.
    holder_.reset();
    PITR_RETURN_IF_ERROR(ForgetIdle(compute_.directory));
    return After::kNothing;
  }
  const bool ended_well = !stopped && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return ended_well ? MayHold() : Result<After>(After::kNothing);
}

Status Supervisor::Run() {
  PITR_RETURN_IF_ERROR(Begin());
  After next = compute_.hold ? After::kHolding : After::kServer;
  while (next != After::kNothing) {
    PITR_ASSIGN_OR_RETURN(next, next == After::kHolding ? Hold() : RunServer());
  }
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
  compute.hold = options.Has("hold");
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
  const Result<Options> options = Options::Parse(
      arguments, {{"directory"}, {"program"}, {"log"}, {"host"}, {"hold", false}}, kMostArguments);
  if (!options.ok()) {
    return FailUsage("compute", options.status());
  }
  const Result<Compute> compute = ParseCompute(*options);
  if (!compute.ok()) {
    return FailUsage("compute", compute.status());
  }
  Status status = Detach(*compute);
  if (status.ok()) {
    status = Supervisor(*compute).Run();
  }
  if (!status.ok()) {
    Say(status.ToString());
  }
  return status.ok() ? kExitDone : kExitFailed;
}

}  // namespace pitr::tool
