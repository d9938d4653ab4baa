#include "tool/pipeline.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "core/base/ascii.h"
#include "core/base/file.h"
#include "core/base/process.h"
#include "tool/signals.h"

namespace pitr::tool {

namespace {

constexpr int kPollMs = 20, kPollsToCall = 10;
// How long they have to end by themselves.
constexpr int kPatienceMs = 5000;
constexpr std::size_t kTailBytes = 2000;

struct Running {
  std::string program;
  pid_t pid = 0;
  int status = 0;
  bool has_ended = false;
  File errors;

  bool Failed() const { return !WIFEXITED(status) || WEXITSTATUS(status) != 0; }
  // Nobody read any more what it wrote.
  bool WasCutOff() const { return WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE; }
};

// Between fork and exec of a process with threads: system calls only.
[[noreturn]] void Become(char** arguments, char** environment, int input, int output, int errors,
                         pid_t parent) {
  ResetSignalsInChild();
  // Survives exec. When the parent died before, nobody will send it.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) {
    _exit(127);
  }
  close_range(3, ~0U, 0);
  execve(arguments[0], arguments, environment);
  _exit(127);
}

// The end of what was written to it.
std::string TailOf(const File& file) {
  const Result<std::uint64_t> size = file.Size();
  if (!size.ok()) return {};
  std::string text(kTailBytes, '\0');
  const Result<std::size_t> got =
      file.ReadAt(*size > text.size() ? *size - text.size() : 0, text.data(), text.size());
  text.resize(got.ok() ? *got : 0);
  return std::string(Trimmed(text));
}

class Pipeline {
 public:
  Pipeline() = default;
  ~Pipeline() { End(); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  Status Start(const std::vector<std::vector<std::string>>& programs,
               const std::vector<std::string>& environment);
  // All have ended.
  bool Reap();
  void End() noexcept;
  Status Outcome() const;

 private:
  std::vector<Running> running_;
};

Status Pipeline::Start(const std::vector<std::vector<std::string>>& programs,
                       const std::vector<std::string>& environment) {
  PITR_ASSIGN_OR_RETURN(File input, File::Open("/dev/null", O_RDONLY));
  PITR_ASSIGN_OR_RETURN(const File nowhere, File::Open("/dev/null", O_WRONLY));
  std::vector<std::string> variables = environment;
  std::vector<char*> variable_pointers = ExecPointers(&variables);
  const pid_t self = getpid();
  for (std::size_t i = 0; i < programs.size(); i++) {
    int ends[2] = {-1, -1};
    if (i + 1 < programs.size() && pipe2(ends, O_CLOEXEC) != 0) {
      return Status::FromErrno(errno, "make a pipe");
    }
    File next(ends[0]);
    const File output(ends[1]);
    Running one;
    one.errors = File(memfd_create("errors", MFD_CLOEXEC));
    std::vector<std::string> arguments = programs[i];
    one.program = arguments[0];
    std::vector<char*> pointers = ExecPointers(&arguments);
    one.pid = ForkWithSignalsBlocked();
    if (one.pid < 0) return Status::FromErrno(errno, "run \"" + one.program + "\"");
    if (one.pid == 0) {
      Become(pointers.data(), variable_pointers.data(), input.fd(),
             output.is_open() ? output.fd() : nowhere.fd(), one.errors.fd(), self);
    }
    running_.push_back(std::move(one));
    input = std::move(next);
  }
  return Status::Ok();
}

bool Pipeline::Reap() {
  bool all = true;
  for (Running& one : running_) {
    if (!one.has_ended) one.has_ended = waitpid(one.pid, &one.status, WNOHANG) == one.pid;
    all = all && one.has_ended;
  }
  return all;
}

void Pipeline::End() noexcept {
  if (Reap()) return;
  for (const Running& one : running_) {
    if (!one.has_ended) kill(one.pid, SIGTERM);
  }
  for (int waited = 0; waited < kPatienceMs && !Reap(); waited += kPollMs) {
    poll(nullptr, 0, kPollMs);
  }
  for (Running& one : running_) {
    if (one.has_ended) continue;
    kill(one.pid, SIGKILL);
    waitpid(one.pid, &one.status, 0);
    one.has_ended = true;
  }
}

Status Pipeline::Outcome() const {
  const Running* failed = nullptr;
  for (const Running& one : running_) {
    if (one.Failed() && (failed == nullptr || failed->WasCutOff())) failed = &one;
  }
  if (failed == nullptr) return Status::Ok();
  std::string said = TailOf(failed->errors);
  const bool is_full = said.find("No space left on device") != std::string::npos;
  if (said.empty() && WIFSIGNALED(failed->status)) {
    said = "It was ended by signal " + std::to_string(WTERMSIG(failed->status)) + ".";
  }
  return Status(is_full ? Code::kDiskFull : Code::kInternal, BaseName(failed->program) + " failed")
      .WithDetail(std::move(said));
}

}  // namespace

Status RunPipeline(const std::vector<std::vector<std::string>>& programs,
                   const std::vector<std::string>& environment,
                   const std::function<void()>& meanwhile, const CancelToken& cancel) {
  Pipeline pipeline;
  PITR_RETURN_IF_ERROR(pipeline.Start(programs, environment));
  for (int polls = 1; !pipeline.Reap(); polls++) {
    if (cancel.IsCancelled()) {
      pipeline.End();
      return Status(Code::kCancelled, "cancelled");
    }
    if (polls % kPollsToCall == 0) meanwhile();
    poll(nullptr, 0, kPollMs);
  }
  return pipeline.Outcome();
}

}  // namespace pitr::tool
