// Starts the server of a branch and waits until it is ready. It stays when we end: `pitr compute` runs it, which is nobody's child.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/work/idle_server.h"
#include "core/work/living_server.h"
#include "tool/branch_settings.h"
#include "tool/inherited_lock.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/signals.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

constexpr int kPollMs = 20;
constexpr std::size_t kTailBytes = 1500;

struct StartRequest {
  std::string directory, program, server, host, log;
  std::vector<std::string> arguments;
  bool hold = false;  // if nobody was connected when it ended: its port is enough
};

Result<StartRequest> ParseStartJob(const Json& job) {
  StartRequest request;
  PITR_ASSIGN_OR_RETURN(request.directory, JsonText(job, "directory"));
  PITR_ASSIGN_OR_RETURN(request.program, JsonText(job, "program"));
  PITR_ASSIGN_OR_RETURN(const std::string bin, JsonText(job, "bin_directory"));
  request.server = JoinPath(bin, "postgres");
  PITR_ASSIGN_OR_RETURN(request.host, JsonText(job, "host"));
  PITR_ASSIGN_OR_RETURN(request.log, JsonText(job, "log"));
  PITR_ASSIGN_OR_RETURN(request.hold, JsonBool(job, "hold"));
  if (JsonArray(job, "settings") == nullptr) {
    return Status(Code::kCorrupt, "member \"settings\" is missing");
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> settings, JsonTexts(job, "settings"));
  for (const std::string& setting : settings)
    request.arguments.insert(request.arguments.end(), {"-c", setting});
  // Before those, which win.
  PITR_ASSIGN_OR_RETURN(const auto own, ParseBranchSettings(job));
  const std::vector<std::string> first = AsArguments(own.value_or(std::vector<Setting>()));
  request.arguments.insert(request.arguments.begin(), first.begin(), first.end());
  return request;
}

// One start at a time. Given back when we have ended and `pitr compute`, which inherits it, has a server that others can see.
Result<File> LockStart(const std::string& directory, const CancelToken& cancel) {
  for (;;) {
    PITR_ASSIGN_OR_RETURN(File lock, TryLockStart(directory));
    if (lock.is_open()) {
      return lock;
    }
    if (cancel.IsCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    ::poll(nullptr, 0, kPollMs);
  }
}

// Between fork and exec of a process with threads: system calls only. The child in the middle ends at once, so that nobody waits for the other.
[[noreturn]] void RunDetached(const char* program, char** arguments, int alive, int lock) {
  ResetSignalsInChild();
  ::setsid();
  const pid_t child = ::fork();
  if (child != 0) {
    ::_exit(child < 0 ? 1 : 0);
  }
  // By way of numbers that neither of them has.
  const int first = ::fcntl(alive, F_DUPFD, 5), second = ::fcntl(lock, F_DUPFD, 5);
  if (::dup2(first, 3) == 3 && ::dup2(second, kInheritedLock) == kInheritedLock) {
    ::close_range(kInheritedLock + 1, ~0U, 0);
    ::execv(program, arguments);
  }
  ::_exit(127);
}

// The reading end of a pipe that is closed when the supervisor has ended.
Result<File> StartSupervisor(const StartRequest& request, bool hold, const File& lock) {
  std::vector<std::string> words = {
      request.program, "compute", "--directory", request.directory, "--program",
      request.server,  "--host",  request.host,  "--log",           request.log};
  if (hold) {
    words.push_back("--hold");
  }
  words.push_back("--");
  words.insert(words.end(), request.arguments.begin(), request.arguments.end());
  std::vector<char*> arguments = ExecPointers(&words);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Status::FromErrno(errno, "make a pipe");
  }
  File reading(ends[0]);
  const File writing(ends[1]);
  const pid_t child = ForkWithSignalsBlocked();
  if (child < 0) {
    return Status::FromErrno(errno, "start \"" + request.program + "\"");
  }
  if (child == 0) {
    RunDetached(request.program.c_str(), arguments.data(), writing.fd(), lock.fd());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    return Status(Code::kIo, "could not start \"" + request.program + "\"");
  }
  return reading;
}

// Until it is ready, or its port is held.
Status WaitReady(const StartRequest& request, const File& alive, bool hold,
                 const CancelToken& cancel) {
  const std::string& directory = request.directory;
  for (;;) {
    if (hold ? LivingHolder(directory).has_value()
             : LivingServer(directory) && ServerWord(directory) == "ready") {
      return Status::Ok();
    }
    if (cancel.IsCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    // The pipe is of a process that we have started; of another one that it lives is all that is known.
    pollfd event = {alive.fd(), POLLIN, 0};
    const bool has_ended =
        ::poll(&event, 1, kPollMs) > 0 ||
        (!alive.is_open() && !LivingServer(directory) && !LivingHolder(directory));
    if (has_ended) {
      return Status(Code::kNotReady, "the branch's server does not start")
          .WithDetail(LogTail(request.log, kTailBytes))
          .WithHint("Its log is \"" + request.log + "\".");
    }
  }
}

// What the worker knows now that nobody else can start or stop it.
Status AskWhetherToGo(JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const Json answer, context->Ask("go"));
  PITR_ASSIGN_OR_RETURN(const bool go, JsonBool(answer, "go"));
  return go ? Status::Ok() : Status(Code::kNotReady, "the branch was stopped or deleted meanwhile");
}

}  // namespace

Result<Json> RunStartJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const StartRequest request, ParseStartJob(job));
  PITR_ASSIGN_OR_RETURN(const File lock, LockStart(request.directory, *context->cancel));
  PITR_RETURN_IF_ERROR(AskWhetherToGo(context));
  Json line;
  const bool was_running = LivingServer(request.directory).has_value();
  line["done"]["was_running"] = was_running;
  const bool is_held = LivingHolder(request.directory).has_value();
  const bool hold = !was_running && request.hold && (is_held || IsToBeHeld(request.directory));
  File alive;
  if (is_held && !hold) {
    PITR_RETURN_IF_ERROR(SignalHolder(request.directory, SIGUSR1).status());
  } else if (!was_running && !is_held) {
    // Of a server that is gone; the next one would believe it when its pid is in use again.
    PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(request.directory, "postmaster.pid")));
    if (!hold) {
      PITR_RETURN_IF_ERROR(ForgetIdle(request.directory));
    }
    PITR_FAULT("branch.before_start");
    PITR_ASSIGN_OR_RETURN(alive, StartSupervisor(request, hold, lock));
  }
  PITR_RETURN_IF_ERROR(WaitReady(request, alive, hold, *context->cancel));
  PITR_FAULT("branch.started");
  return line;
}

}  // namespace pitr::tool
