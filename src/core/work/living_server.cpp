#include "core/work/living_server.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <climits>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/base/file.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxPidFile = 4096;
constexpr int kStateLine = 8;  // LOCK_FILE_LINE_PM_STATUS, src/include/utils/pidfile.h (15, 17, 18)

std::string_view Line(std::string_view text, int number) {
  for (int line = 1; line < number; line++) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return {};
    }
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

std::string LinkOf(pid_t pid, const char* what) {
  char place[PATH_MAX];
  const std::string link = "/proc/" + std::to_string(pid) + "/" + what;
  const ssize_t size = ::readlink(link.c_str(), place, sizeof place);
  return size <= 0 ? std::string() : std::string(place, static_cast<std::size_t>(size));
}

}  // namespace

std::string WorkingDirectoryOf(pid_t pid) { return LinkOf(pid, "cwd"); }

std::optional<pid_t> LivingServer(const std::string& directory) {
  const Result<std::string> text = ReadTextFile(JoinPath(directory, "postmaster.pid"), kMaxPidFile);
  if (!text.ok()) {
    return std::nullopt;
  }
  const std::string_view line = Line(*text, 1);
  pid_t pid = 0;
  std::from_chars(line.data(), line.data() + line.size(), pid);
  char wanted[PATH_MAX];
  if (pid <= 0 || ::realpath(directory.c_str(), wanted) == nullptr) {
    return std::nullopt;
  }
  // A server's working directory is its data directory. Its file may have been replaced by an update: "postgres (deleted)".
  const bool is_server =
      WorkingDirectoryOf(pid) == wanted && BaseName(LinkOf(pid, "exe")).starts_with("postgres");
  return is_server ? std::optional<pid_t>(pid) : std::nullopt;
}

std::string ServerWord(const std::string& directory) {
  const Result<std::string> text = ReadTextFile(JoinPath(directory, "postmaster.pid"), kMaxPidFile);
  std::string word(text.ok() ? Line(*text, kStateLine) : std::string_view());
  while (!word.empty() && word.back() == ' ') {
    word.pop_back();
  }
  return word;
}

Result<bool> SignalWhoIs(const std::function<std::optional<pid_t>()>& find, int signal) {
  const std::optional<pid_t> pid = find();
  if (!pid) {
    return false;
  }
  // The descriptor holds on to the process that it was opened for; only then it is looked at once more.
  const File process(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (!process.is_open()) {
    return errno == ESRCH
               ? Result<bool>(false)
               : Result<bool>(Status::FromErrno(errno, "open process " + std::to_string(*pid)));
  }
  if (find() != pid) {
    return false;
  }
  if (::syscall(SYS_pidfd_send_signal, process.fd(), signal, nullptr, 0) != 0 && errno != ESRCH) {
    return Status::FromErrno(errno, "signal process " + std::to_string(*pid));
  }
  return true;
}

Result<bool> SignalServer(const std::string& directory, int signal) {
  return SignalWhoIs([&] { return LivingServer(directory); }, signal);
}

}  // namespace pitr
