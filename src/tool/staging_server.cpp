// Starting, watching and ending a postmaster. Invariant: no server started here outlives this process by more than its own
// immediate shutdown, because it asks the kernel for SIGQUIT at its parent's death.
#include "tool/staging_server.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>
#include <thread>

#include "core/base/file.h"
#include "core/base/process.h"
#include "core/work/living_server.h"
#include "tool/signals.h"

extern char** environ;

namespace pitr::tool {

namespace {

constexpr std::chrono::milliseconds kPoll(20);
constexpr std::chrono::seconds kQuitPatience(5);
// `pitr compute` ends its server in less.
constexpr std::chrono::seconds kSupervisorPatience(15);
constexpr std::size_t kTailBytes = 1500;

// Between fork and exec of a process with threads: system calls only.
[[noreturn]] void RunPostmaster(const char* program, char** arguments, char** environment,
                                int log_fd, pid_t parent, bool stays) {
  ResetSignalsInChild();
  setsid();
  // Survives exec. When the parent died before, nobody will send it.
  prctl(PR_SET_PDEATHSIG, stays ? 0 : SIGQUIT);
  const int nothing = open("/dev/null", O_RDONLY);
  if (getppid() != parent || nothing < 0 || dup2(nothing, 0) < 0 || dup2(log_fd, 1) < 0 ||
      dup2(log_fd, 2) < 0) {
    _exit(127);
  }
  close_range(3, ~0U, 0);
  execve(program, arguments, environment);
  constexpr std::string_view kProblem = "could not execute postgres\n";
  const ssize_t written = write(2, kProblem.data(), kProblem.size());
  _exit(written < 0 ? 126 : 127);
}

std::string ExitText(int status) {
  if (WIFSIGNALED(status)) {
    return "was ended by signal " + std::to_string(WTERMSIG(status));
  }
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

// Ours without what belongs to the live server: its PG… variables, and the socket through which it talks to systemd, to which
// staging must not say that the service is ready or stopping.
std::vector<std::string> ServerEnvironment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; variable++) {
    const std::string_view text(*variable);
    const std::string name(text.substr(0, text.find('=')));
    const bool foreign = name.compare(0, 2, "PG") == 0 || name == "NOTIFY_SOCKET" ||
                         name.compare(0, 8, "WATCHDOG") == 0 || name.compare(0, 7, "LISTEN_") == 0;
    if (!foreign && added.count(name) == 0) {
      variables.emplace_back(text);
    }
  }
  for (const auto& [name, value] : added) {
    variables.push_back(name + "=" + value);
  }
  return variables;
}

std::string LogTail(const std::string& path, std::size_t max_bytes) {
  Result<File> file = File::Open(path, O_RDONLY);
  if (!file.ok()) {
    return {};
  }
  const Result<std::uint64_t> size = file->Size();
  if (!size.ok()) {
    return {};
  }
  // Some lines are dropped below, so look back further than what is wanted.
  constexpr std::size_t kLookBack = 65536;
  std::string text(kLookBack, '\0');
  const Result<std::size_t> got =
      file->ReadAt(*size > kLookBack ? *size - kLookBack : 0, text.data(), text.size());
  text.resize(got.ok() ? *got : 0);
  std::string kept;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!line.empty() && line.find("restored log file") == std::string_view::npos) {
      kept.append(line).push_back('\n');
    }
  }
  if (kept.size() > max_bytes) {
    const std::size_t begin = kept.find('\n', kept.size() - max_bytes);
    kept.erase(0, begin == std::string::npos ? kept.size() - max_bytes : begin + 1);
  }
  while (!kept.empty() && kept.back() == '\n') {
    kept.pop_back();
  }
  return kept;
}

Result<std::unique_ptr<StagingServer>> StagingServer::Start(const StagingOptions& options) {
  if (const std::optional<pid_t> other = LivingServer(options.directory)) {
    return Status(Code::kInUse, "a server runs in \"" + options.directory + "\" (pid " +
                                    std::to_string(*other) + ")");
  }
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(options.directory, "postmaster.pid")));
  const std::string program = JoinPath(options.bin_directory, "postgres");
  if (access(program.c_str(), X_OK) != 0) {
    return Status::FromErrno(errno, "run \"" + program + "\"");
  }
  PITR_ASSIGN_OR_RETURN(const File log,
                        File::Open(options.log_file, O_WRONLY | O_CREAT | O_APPEND));
  const bool stays = !options.supervisor.empty();
  std::vector<std::string> arguments = {program, "-D", options.directory};
  if (stays) {
    arguments = {
        options.supervisor, "compute",    "--directory", options.directory, "--program", program,
        "--host",           options.host, "--log",       options.log_file,  "--"};
  }
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment = ServerEnvironment(options.environment);
  std::vector<char*> argument_pointers = ExecPointers(&arguments);
  std::vector<char*> environment_pointers = ExecPointers(&environment);
  const pid_t self = getpid();
  const pid_t child = ForkWithSignalsBlocked();
  if (child < 0) {
    return Status::FromErrno(errno, "start \"" + program + "\"");
  }
  if (child == 0) {
    RunPostmaster(argument_pointers.front(), argument_pointers.data(), environment_pointers.data(),
                  log.fd(), self, stays);
  }
  return std::unique_ptr<StagingServer>(new StagingServer(options, child));
}

StagingServer::~StagingServer() { EndNow(); }

bool StagingServer::Reap() {
  if (is_running_ && waitpid(pid_, &exit_status_, WNOHANG) == pid_) {
    is_running_ = false;
  }
  return !is_running_;
}

void StagingServer::EndNow() noexcept {
  if (Reap()) {
    return;
  }
  const bool is_supervised = !options_.supervisor.empty();
  kill(pid_, is_supervised ? SIGTERM : SIGQUIT);
  const auto give_up =
      std::chrono::steady_clock::now() + (is_supervised ? kSupervisorPatience : kQuitPatience);
  while (!Reap() && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(kPoll);
  }
  if (!Reap()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &exit_status_, 0);
    is_running_ = false;
  }
}

Status StagingServer::Failure(std::string message) const {
  std::string tail = LogTail(options_.log_file, kTailBytes);
  // What the server says about a full disk is what the user must hear first.
  const bool full = tail.find("No space left on device") != std::string::npos;
  return Status(full ? Code::kDiskFull : Code::kInternal, std::move(message))
      .WithDetail(std::move(tail));
}

Status StagingServer::CheckRunning() {
  if (!Reap()) {
    return Status::Ok();
  }
  return Failure("the server in \"" + options_.directory + "\" " + ExitText(exit_status_));
}

std::string StagingServer::State() const { return ServerWord(options_.directory); }

Status StagingServer::WaitReady(const CancelToken& cancel) {
  for (;;) {
    if (cancel.IsCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    PITR_RETURN_IF_ERROR(CheckRunning());
    if (State() == "ready") {
      return Status::Ok();
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Status StagingServer::Stop(StopMode mode, const CancelToken& cancel) {
  if (mode == StopMode::kImmediate) {
    EndNow();
    return Status::Ok();
  }
  if (!Reap()) {
    kill(pid_, options_.supervisor.empty() ? SIGINT : SIGTERM);
  }
  while (!Reap()) {
    if (cancel.IsCancelled()) {
      EndNow();
      return Status(Code::kCancelled, "cancelled");
    }
    std::this_thread::sleep_for(kPoll);
  }
  if (!WIFEXITED(exit_status_) || WEXITSTATUS(exit_status_) != 0) {
    return Failure("the server in \"" + options_.directory + "\" " + ExitText(exit_status_));
  }
  return Status::Ok();
}

}  // namespace pitr::tool
