#include "pg/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "core/base/json.h"
#include "core/base/status.h"
#include "pg/boundary.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "storage/latch.h"
#include "utils/wait_event.h"
}

extern "C" char** environ;

namespace pitr::pg {

namespace {

constexpr std::size_t kMaxLine = 4U << 20;

// Waits until the child has said something, the latch is set or 100 ms are over.
void WaitForChild(int fd) {
  Call([fd] {
    WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                      fd, 100L, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
}

}  // namespace

Status StatusFromJson(const Json& error) {
  const auto text = [&error](std::string_view member) {
    Result<std::optional<std::string>> value = JsonOptionalText(error, member);
    return value.ok() && value->has_value() ? **value : std::string();
  };
  const std::string sqlstate = text("sqlstate");
  Code code = Code::kInternal;
  for (int i = 1; i <= static_cast<int>(Code::kInternal); i++) {
    if (SqlState(static_cast<Code>(i)) == sqlstate) {
      code = static_cast<Code>(i);
      break;
    }
  }
  return Status(code, text("message")).WithDetail(text("detail")).WithHint(text("hint"));
}

Child::~Child() {
  if (pid_ != 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Close();
}

void Child::Close() noexcept {
  if (to_child_ >= 0) close(to_child_);
  if (from_child_ >= 0) close(from_child_);
  to_child_ = from_child_ = -1;
}

Status Child::SpawnJob(int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  // The server's sockets, files and latches are none of the child's business.
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const std::string program = PitrProgram();
  std::string name = "pitr", command = "job";
  char* const arguments[] = {name.data(), command.data(), nullptr};
  const int error = posix_spawn(&pid_, program.c_str(), &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = 0;
    return Status(Code::kIo, "could not start \"" + program + "\": " + std::strerror(error))
        .WithHint(
            "The program pitr belongs beside the server's own programs; \"make install\" puts it "
            "there.");
  }
  return Status::Ok();
}

Status Child::Start(const Json& job) {
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) != 0) return Status::FromErrno(errno, "make a pipe");
  if (pipe2(output, O_CLOEXEC) != 0) {
    const int error = errno;
    close(input[0]);
    close(input[1]);
    return Status::FromErrno(error, "make a pipe");
  }
  const Status started = SpawnJob(input[0], output[1]);
  close(input[0]);
  close(output[1]);
  to_child_ = input[1];
  from_child_ = output[0];
  fcntl(from_child_, F_SETFL, O_NONBLOCK);
  PITR_RETURN_IF_ERROR(started);
  return Send(job);
}

Status Child::Send(const Json& line) {
  const std::string text = DumpJson(line) + "\n";
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = write(to_child_, text.data() + sent, text.size() - sent);
    if (count < 0 && errno != EINTR) return EndedEarly();
    if (count > 0) sent += static_cast<std::size_t>(count);
  }
  return Status::Ok();
}

Status Child::EndedEarly() {
  int status = 0;
  Close();
  if (pid_ != 0) waitpid(pid_, &status, 0);
  pid_ = 0;
  std::string how = "ended without a result";
  if (WIFSIGNALED(status))
    how = std::string("was ended by signal ") + std::to_string(WTERMSIG(status));
  if (WIFEXITED(status)) how += ", exit code " + std::to_string(WEXITSTATUS(status));
  return Status(Code::kInternal, "the child process of the operation " + how)
      .WithHint("The server itself is not affected; its log may say more.");
}

Result<std::optional<Json>> Child::TryNext() {
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      const std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      PITR_ASSIGN_OR_RETURN(Json json, ParseJson(line, "answer of the child process"));
      return std::optional<Json>(std::move(json));
    }
    char chunk[16384];
    const ssize_t count = read(from_child_, chunk, sizeof chunk);
    if (count > 0) {
      buffer_.append(chunk, static_cast<std::size_t>(count));
      if (buffer_.size() > kMaxLine)
        return Status(Code::kInternal, "the child process says too much");
      continue;
    }
    if (count == 0) return EndedEarly();
    if (errno != EAGAIN && errno != EINTR)
      return Status::FromErrno(errno, "read from the child process");
    return std::optional<Json>();
  }
}

Result<Json> Child::Next(const std::function<bool()>& cancelled) {
  for (;;) {
    PITR_ASSIGN_OR_RETURN(std::optional<Json> line, TryNext());
    if (line) return *std::move(line);
    if (cancelled()) {
      if (pid_ != 0) kill(pid_, SIGTERM);
      Finish();
      return Status(Code::kCancelled, "the operation was cancelled");
    }
    WaitForChild(from_child_);
  }
}

void Child::Finish() noexcept {
  if (to_child_ >= 0) close(to_child_);
  to_child_ = -1;
  for (int i = 0; pid_ != 0 && i < 1000; i++) {
    char rest[4096];
    while (from_child_ >= 0 && read(from_child_, rest, sizeof rest) > 0) {
    }
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
    if (pid_ != 0) usleep(10 * 1000);
  }
  if (pid_ != 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  Close();
}

Result<Json> RunJob(const Json& job, const std::function<bool()>& cancelled,
                    const std::function<Result<Json>()>& answer) {
  Child child;
  PITR_RETURN_IF_ERROR(child.Start(job));
  for (;;) {
    PITR_ASSIGN_OR_RETURN(Json line, child.Next(cancelled));
    if (const Json* error = JsonObject(line, "error")) {
      child.Finish();
      return StatusFromJson(*error);
    }
    if (answer && line.contains("need")) {
      PITR_ASSIGN_OR_RETURN(const Json said, answer());
      PITR_RETURN_IF_ERROR(child.Send(said));
    }
    if (line.contains("done")) {
      child.Finish();
      return line;
    }
  }
}

}  // namespace pitr::pg
