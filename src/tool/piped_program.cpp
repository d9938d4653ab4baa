#include "tool/piped_program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "core/base/ascii.h"
#include "core/base/process.h"
#include "tool/signals.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kBuffer = 1U << 20;
constexpr int kPipeSize = 1 << 20;
constexpr int kPollMs = 50;
// What it has to let go of its session and to end those that it started.
constexpr int kPatienceMs = 400;
constexpr std::size_t kMostWords = 4096;

struct Pipe {
  File reader, writer;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Status::FromErrno(errno, "make a pipe");
  // Fewer turns between the two; a smaller one does as well.
  (void)fcntl(ends[1], F_SETPIPE_SZ, kPipeSize);
  return Pipe{File(ends[0]), File(ends[1])};
}

// Between fork and exec of a process with threads: system calls only.
[[noreturn]] void RunProgramIn(const char* program, char** arguments, char** environment, int input,
                               int output, int errors, pid_t parent) {
  ResetSignalsInChild();
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) {
    _exit(127);
  }
  close_range(3, ~0U, 0);
  execve(program, arguments, environment);
  constexpr std::string_view kProblem = "could not be executed\n";
  const ssize_t written = write(2, kProblem.data(), kProblem.size());
  _exit(written < 0 ? 126 : 127);
}

}  // namespace

PipedProgram::PipedProgram(std::string name, pid_t pid, File input, File output, File errors,
                           Sink sink)
    : name_(std::move(name)),
      pid_(pid),
      input_(std::move(input)),
      output_(std::move(output)),
      errors_(std::move(errors)),
      sink_(std::move(sink)),
      buffer_(kBuffer) {}

Result<std::unique_ptr<PipedProgram>> PipedProgram::Start(
    const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
    bool is_fed, Sink sink) {
  std::vector<std::string> words = arguments, variables = environment;
  std::vector<char*> word_pointers = ExecPointers(&words);
  std::vector<char*> variable_pointers = ExecPointers(&variables);
  PITR_ASSIGN_OR_RETURN(Pipe output, MakePipe());
  PITR_ASSIGN_OR_RETURN(Pipe input, MakePipe());
  File errors(memfd_create("errors", MFD_CLOEXEC));
  if (!errors.is_open()) return Status::FromErrno(errno, "keep the errors of a program");
  if (!is_fed) {
    PITR_ASSIGN_OR_RETURN(input.reader, File::Open("/dev/null", O_RDONLY));
    input.writer = File();
  }
  const pid_t self = getpid();
  const pid_t child = ForkWithSignalsBlocked();
  if (child < 0) return Status::FromErrno(errno, "start \"" + arguments[0] + "\"");
  if (child == 0) {
    RunProgramIn(word_pointers.front(), word_pointers.data(), variable_pointers.data(),
                 input.reader.fd(), output.writer.fd(), errors.fd(), self);
  }
  setpgid(child, child);  // whoever of us is first; it may have begun already
  fcntl(output.reader.fd(), F_SETFL, O_NONBLOCK);
  if (is_fed) fcntl(input.writer.fd(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<PipedProgram>(
      new PipedProgram(BaseName(arguments[0]), child, std::move(input.writer),
                       std::move(output.reader), std::move(errors), std::move(sink)));
}

PipedProgram::~PipedProgram() { EndNow(); }

void PipedProgram::EndNow() noexcept {
  if (pid_ == 0) return;
  input_ = File();
  output_ = File();
  kill(-pid_, SIGTERM);
  int status = 0;
  for (int waited = 0; waited < kPatienceMs; waited += 10) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      // What it started ends when it notices.
      kill(-pid_, SIGKILL);
      pid_ = 0;
      return;
    }
    poll(nullptr, 0, 10);
  }
  kill(-pid_, SIGKILL);
  waitpid(pid_, &status, 0);
  pid_ = 0;
}

// What is there now. At the end of it output_ is closed.
Status PipedProgram::TakeOutput() {
  while (output_.is_open()) {
    const ssize_t got = read(output_.fd(), buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Status::Ok();
    if (got < 0) return Status::FromErrno(errno, "read from \"" + name_ + "\"");
    if (got == 0) {
      output_ = File();
    } else {
      PITR_RETURN_IF_ERROR(sink_(ByteView(buffer_).first(static_cast<std::size_t>(got))));
      return Status::Ok();
    }
  }
  return Status::Ok();
}

Status PipedProgram::Wait(bool for_input, const CancelToken& cancel) {
  if (cancel.IsCancelled()) return Status(Code::kCancelled, "cancelled");
  std::array<struct pollfd, 2> both{};
  both[0].fd = output_.is_open() ? output_.fd() : -1;
  both[0].events = POLLIN;
  both[1].fd = for_input ? input_.fd() : -1;
  both[1].events = POLLOUT;
  poll(both.data(), both.size(), kPollMs);
  return both[0].revents != 0 ? TakeOutput() : Status::Ok();
}

Status PipedProgram::Feed(ByteView bytes, const CancelToken& cancel) {
  while (!bytes.empty() && input_.is_open()) {
    PITR_RETURN_IF_ERROR(Wait(true, cancel));
    const ssize_t put = write(input_.fd(), bytes.data(), bytes.size());
    if (put > 0) bytes = bytes.subspan(static_cast<std::size_t>(put));
    if (put < 0 && errno == EPIPE) input_ = File();
    if (put < 0 && errno != EPIPE && errno != EAGAIN && errno != EINTR) {
      return Status::FromErrno(errno, "write to \"" + name_ + "\"");
    }
  }
  return Status::Ok();
}

Status PipedProgram::Failure(int status) const {
  std::string words(kMostWords, '\0');
  const Result<std::size_t> size = errors_.ReadAt(0, words.data(), words.size());
  words.resize(size.ok() ? *size : 0);
  words = std::string(Trimmed(words));
  const auto says = [&words](std::string_view what) {
    return words.find(what) != std::string::npos;
  };
  // pg_dump waits for locks with a limit of the statement's time.
  const bool is_lock = says("due to lock timeout") || says("due to statement timeout");
  const Code code = says("No space left on device") ? Code::kDiskFull
                    : is_lock                       ? Code::kLockTimeout
                                                    : Code::kIo;
  const std::string how =
      WIFSIGNALED(status) ? " was ended by signal " + std::to_string(WTERMSIG(status)) : " failed";
  return Status(code, name_ + how).WithDetail(words);
}

Status PipedProgram::End(const CancelToken& cancel) {
  input_ = File();
  while (output_.is_open()) {
    PITR_RETURN_IF_ERROR(Wait(false, cancel));
  }
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) break;
    if (ended < 0 && errno != EINTR) return Status::FromErrno(errno, "wait for \"" + name_ + "\"");
    if (cancel.IsCancelled()) return Status(Code::kCancelled, "cancelled");
    poll(nullptr, 0, 5);
  }
  pid_ = 0;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? Status::Ok() : Failure(status);
}

}  // namespace pitr::tool
