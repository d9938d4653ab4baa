#include "core/work/idle_server.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/process.h"
#include "core/work/control_file.h"
#include "core/work/living_server.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxFile = 256, kMaxCommand = 1U << 20;

std::string IdlePath(const std::string& directory) { return JoinPath(directory, "pitr/idle"); }

// A word of its command line is the directory: for a process whose number the file names by chance, after the machine came up anew.
bool IsAbout(pid_t pid, const std::string& directory) {
  const Result<std::string> words =
      ReadTextFile("/proc/" + std::to_string(pid) + "/cmdline", kMaxCommand);
  const std::string zero(1, '\0');
  return words.ok() && words->find(zero + "compute" + zero) != std::string::npos &&
         words->find(zero + directory + zero) != std::string::npos;
}

}  // namespace

Status AskToBeHeld(const std::string& directory) {
  return WriteFileDurably(IdlePath(directory), {});
}

bool IsToBeHeld(const std::string& directory) {
  if (!PathExists(IdlePath(directory))) {
    return false;
  }
  const Result<ControlFile> control = ReadControlFile(directory);
  return control.ok() && control->state == ClusterState::kShutDown;
}

Status BecomeHolder(const std::string& directory) {
  const std::optional<ProcessMark> mark = MarkOfProcess(::getpid());
  if (!mark) {
    return Status(Code::kInternal, "this process was not found in /proc");
  }
  return WriteFileLoosely(IdlePath(directory), AsBytes(FormatMark(*mark)));
}

Status ForgetIdle(const std::string& directory) { return RemoveFile(IdlePath(directory)); }

std::optional<pid_t> LivingHolder(const std::string& directory) {
  const Result<std::string> text = ReadTextFile(IdlePath(directory), kMaxFile);
  const std::optional<ProcessMark> mark = text.ok() ? ParseMark(*text) : std::nullopt;
  if (!mark || !IsAlive(*mark) || !IsAbout(mark->pid, directory)) {
    return std::nullopt;
  }
  return mark->pid;
}

Result<bool> SignalHolder(const std::string& directory, int signal) {
  return SignalWhoIs([&] { return LivingHolder(directory); }, signal);
}

Result<File> TryLockStart(const std::string& directory) {
  PITR_ASSIGN_OR_RETURN(File lock,
                        File::Open(JoinPath(directory, "pitr/start.lock"), O_RDWR | O_CREAT, 0600));
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) == 0) {
    return lock;
  }
  if (errno == EWOULDBLOCK || errno == EINTR) {
    return File();
  }
  return Status::FromErrno(errno, "lock \"" + directory + "\"");
}

}  // namespace pitr
