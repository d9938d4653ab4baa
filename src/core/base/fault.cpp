// Fault points of test builds. The file is read anew at each point, so that a test can arm a process
// that runs already. Everything below the #ifdef is absent from product builds.
#include "core/base/fault.h"

#include "core/base/fault_points.h"

#ifdef PITR_FAULTS
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <optional>

#include "core/base/file.h"
#endif

namespace pitr {

std::vector<std::string_view> FaultPoints() {
  std::vector<std::string_view> points;
#ifdef PITR_FAULTS
  points.assign(std::begin(kFaultPoints), std::end(kFaultPoints));
#endif
  return points;
}

#ifdef PITR_FAULTS

namespace {

enum class Action { kNone, kError, kDiskFull, kKill, kStop, kExit2 };

// A wrong name or action is a mistake in a test: loud, or the test would pass by testing nothing.
[[noreturn]] void Complain(std::string_view what, std::string_view text) noexcept {
  const auto say = [](std::string_view part) {
    [[maybe_unused]] const ssize_t put = ::write(STDERR_FILENO, part.data(), part.size());
  };
  say("pitr: ");
  say(what);
  say(" \"");
  say(text);
  say("\"\n");
  std::abort();
}

// Visits of each point by this process. The one permitted global; constant-initialised. A forked
// child starts at zero again.
std::atomic<unsigned> visit_counts[std::size(kFaultPoints)];
std::atomic<pid_t> counted_pid;

// Which visit of `point` this is, from 1.
unsigned CountVisit(std::string_view point) noexcept {
  const pid_t pid = ::getpid();
  if (counted_pid.exchange(pid) != pid) {
    for (std::atomic<unsigned>& count : visit_counts) {
      count = 0;
    }
  }
  for (std::size_t i = 0; i < std::size(kFaultPoints); i++) {
    if (kFaultPoints[i] == point) {
      return ++visit_counts[i];
    }
  }
  Complain("unknown fault point", point);
}

std::string_view TakeWord(std::string_view* line) {
  const std::size_t begin = std::min(line->find_first_not_of(" \t\r"), line->size());
  const std::size_t end = std::min(line->find_first_of(" \t\r", begin), line->size());
  const std::string_view word = line->substr(begin, end - begin);
  line->remove_prefix(end);
  return word;
}

std::optional<Action> ActionOf(std::string_view word) {
  if (word == "error") return Action::kError;
  if (word == "enospc") return Action::kDiskFull;
  if (word == "kill") return Action::kKill;
  if (word == "stop") return Action::kStop;
  if (word == "exit2") return Action::kExit2;
  return std::nullopt;
}

// What the file asks of this visit of `point`: the first line for it that does not skip the visit.
Action ArmedAction(std::string_view point, unsigned visit) {
  const char* path = ::getenv("PITR_FAULT_FILE");
  if (path == nullptr) {
    return Action::kNone;
  }
  Result<std::string> content = ReadTextFile(path, 1U << 20);
  if (!content.ok()) {
    return Action::kNone;
  }
  std::string_view rest = *content;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    std::string_view words = rest.substr(0, newline);
    const std::string_view whole_line = words;
    const bool is_complete = newline != std::string_view::npos;
    rest.remove_prefix(is_complete ? newline + 1 : rest.size());
    if (TakeWord(&words) != point) {
      continue;
    }
    const std::optional<Action> action = ActionOf(TakeWord(&words));
    const std::string_view skip_word = TakeWord(&words);
    unsigned skip = 0;
    const auto parsed =
        std::from_chars(skip_word.data(), skip_word.data() + skip_word.size(), skip);
    const bool is_number =
        parsed.ec == std::errc() && parsed.ptr == skip_word.data() + skip_word.size();
    if (!action.has_value() || (!skip_word.empty() && !is_number)) {
      if (!is_complete) {
        continue;  // still being written
      }
      Complain("malformed line of the fault file", whole_line);
    }
    if (visit > skip) {
      return *action;
    }
  }
  return Action::kNone;
}

// Tells the test that armed the point: a line "<point> <pid>" in the file "<PITR_FAULT_FILE>.hits".
void NoteHit(std::string_view point) {
  const std::string path = std::string(::getenv("PITR_FAULT_FILE")) + ".hits";
  const std::string line = std::string(point) + " " + std::to_string(::getpid()) + "\n";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t put = ::write(fd, line.data(), line.size());
    ::close(fd);
  }
}

// Carries out what never returns or needs no answer; gives back what the caller must report.
Action Act(std::string_view point) {
  const unsigned visit = CountVisit(point);
  const Action action = ArmedAction(point, visit);
  if (action != Action::kNone) {
    NoteHit(point);
  }
  switch (action) {
    case Action::kKill:
      ::raise(SIGKILL);
      break;
    case Action::kExit2:
      ::_exit(2);
    case Action::kStop:
      while (ArmedAction(point, visit) == Action::kStop) {
        const struct timespec pause = {0, 20 * 1000 * 1000};
        ::nanosleep(&pause, nullptr);
      }
      return Action::kNone;
    case Action::kNone:
    case Action::kError:
    case Action::kDiskFull:
      break;
  }
  return action;
}

}  // namespace

Status HitFault(const char* point) {
  const int saved_errno = errno;
  const Action action = Act(point);
  errno = saved_errno;
  const std::string name(point);
  if (action == Action::kDiskFull) {
    return Status::FromErrno(ENOSPC, "pass fault point \"" + name + "\"");
  }
  if (action == Action::kError) {
    return Status(Code::kIo, "injected fault at " + name);
  }
  return Status::Ok();
}

bool HitFaultPlain(const char* point) noexcept {
  const int saved_errno = errno;
  const Action action = Act(point);
  errno = saved_errno;
  return action == Action::kError || action == Action::kDiskFull;
}

#endif

}  // namespace pitr
