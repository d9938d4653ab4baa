// posix_spawn and not fork: in a server process with much memory it copies no page tables, and nothing of ours runs in the child.
// SIGCHLD stays as it is; the server's processes leave it at its default, so the child is there to be waited for.
#include "core/base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "core/base/bytes.h"
#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/file.h"

extern "C" char** environ;

namespace pitr {

// Kills what still runs when it goes.
class ChildGroup {
 public:
  ChildGroup() = default;
  ~ChildGroup() {
    if (pid_ > 0) Reap();
  }
  ChildGroup(const ChildGroup&) = delete;
  ChildGroup& operator=(const ChildGroup&) = delete;

  // The descriptors become its standard input and output; -1: nothing, and as our standard error.
  Status Start(const std::string& command, int input, int output);
  // True when it has ended, with its wait status.
  bool HasEnded(int* status) {
    siginfo_t found = {};
    // Left to be waited for, so that the number of the group still is ours when the group is ended.
    if (::waitid(P_PID, static_cast<id_t>(pid_), &found, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        found.si_pid != pid_) {
      return false;
    }
    *status = Reap();
    return true;
  }

 private:
  int Reap() {
    int status = 0;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

  pid_t pid_ = 0;
};

Status ChildGroup::Start(const std::string& command, int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  if (input < 0) {
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  } else {
    ::posix_spawn_file_actions_adddup2(&actions, input, 0);
  }
  ::posix_spawn_file_actions_adddup2(&actions, output < 0 ? 2 : output, 1);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string shell = "sh", option = "-c", text = command;
  char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
  const int error = ::posix_spawn(&pid_, "/bin/sh", &actions, &attributes, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = 0;
    return Status(Code::kIo, Status::FromErrno(error, "start \"/bin/sh\"").message());
  }
  return Status::Ok();
}

namespace {

constexpr int kSliceMs = 50;  // how soon a cancel is heard

Status CheckTime(std::int64_t deadline_ms) {
  if (IsProcessCancelled()) {
    return Status(Code::kCancelled, "waiting for a command was cancelled");
  }
  if (SystemClock().MonotonicMillis() >= deadline_ms) {
    return Status(Code::kUnavailable, "the command did not end in time");
  }
  return Status::Ok();
}

// All that it prints, until nobody holds the other end any more.
Result<std::size_t> ReadOutput(int fd, std::int64_t deadline_ms, std::span<std::uint8_t> out) {
  std::size_t size = 0;
  for (;;) {
    PITR_RETURN_IF_ERROR(CheckTime(deadline_ms));
    pollfd waiting = {fd, POLLIN, 0};
    if (::poll(&waiting, 1, kSliceMs) <= 0) {
      continue;
    }
    std::uint8_t beyond = 0;
    const bool is_full = size == out.size();
    const ssize_t got =
        is_full ? ::read(fd, &beyond, 1) : ::read(fd, out.data() + size, out.size() - size);
    if (got == 0) {
      return size;
    }
    if (got > 0 && is_full) {
      return Status(Code::kLimit,
                    "the command prints more than " + std::to_string(out.size()) + " bytes");
    }
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
      return Status(Code::kIo, Status::FromErrno(errno, "read what a command prints").message());
    }
    size += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
}

Status StatusOfEnd(int status) {
  if (WIFSIGNALED(status)) {
    return Status(Code::kIo, "the command was ended by signal " + std::to_string(WTERMSIG(status)));
  }
  return WEXITSTATUS(status) == 0 ? Status::Ok()
                                  : Status(Code::kIo, "the command exited with status " +
                                                          std::to_string(WEXITSTATUS(status)));
}

Status WaitForEnd(ChildGroup* child, std::int64_t deadline_ms) {
  int status = 0;
  while (!child->HasEnded(&status)) {
    PITR_RETURN_IF_ERROR(CheckTime(deadline_ms));
    const timespec nap = {0, 2'000'000};
    ::nanosleep(&nap, nullptr);
  }
  return StatusOfEnd(status);
}

}  // namespace

Result<std::size_t> RunShellCommand(const std::string& command, std::int64_t timeout_ms,
                                    std::span<std::uint8_t> out) {
  const std::int64_t deadline_ms =
      std::min(SystemClock().MonotonicMillis() + timeout_ms, WaitLimitEnd());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Status(Code::kIo, Status::FromErrno(errno, "make a pipe").message());
  }
  File input(ends[0]), output(ends[1]);
  ChildGroup child;
  PITR_RETURN_IF_ERROR(child.Start(command, -1, output.fd()));
  output = File();
  PITR_ASSIGN_OR_RETURN(const std::size_t size, ReadOutput(input.fd(), deadline_ms, out));
  PITR_RETURN_IF_ERROR(WaitForEnd(&child, deadline_ms));
  return size;
}

BackgroundCommand::BackgroundCommand() = default;
BackgroundCommand::~BackgroundCommand() = default;

Status BackgroundCommand::Start(const std::string& command, std::string_view input) {
  if (input.size() > kMaxInput) return Status(Code::kLimit, "too much for a command's input");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Status(Code::kIo, Status::FromErrno(errno, "make a pipe").message());
  }
  const File from(ends[0]);
  File to(ends[1]);
  // Before it is started: both ends are here, so a command that does not read is no broken pipe.
  PITR_RETURN_IF_ERROR(to.WriteAll(AsBytes(input)));
  auto child = std::make_unique<ChildGroup>();
  PITR_RETURN_IF_ERROR(child->Start(command, from.fd(), -1));
  child_ = std::move(child);
  started_ms_ = SystemClock().MonotonicMillis();
  return Status::Ok();
}

void BackgroundCommand::End() { child_.reset(); }

std::optional<Status> BackgroundCommand::Look(std::int64_t timeout_ms) {
  int status = 0;
  if (child_->HasEnded(&status)) {
    child_.reset();
    return StatusOfEnd(status);
  }
  if (SystemClock().MonotonicMillis() - started_ms_ < timeout_ms) return std::nullopt;
  child_.reset();
  return Status(Code::kUnavailable, "the command did not end in time");
}

}  // namespace pitr
