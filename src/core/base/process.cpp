#include "core/base/process.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>

#include "core/base/ascii.h"
#include "core/base/file.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxEnvironment = 4U << 20;

template <typename Number>
bool ParseWhole(std::string_view text, Number* number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, *number);
  return !text.empty() && parsed.ec == std::errc() && parsed.ptr == end;
}

struct Stat {
  char state = 0;
  std::uint64_t start = 0;
};

// Fields 3 and 22 of /proc/<pid>/stat, behind the name in brackets.
std::optional<Stat> ReadStat(std::int32_t pid) {
  const Result<std::string> text = ReadTextFile("/proc/" + std::to_string(pid) + "/stat", 4096);
  const std::size_t name_end = text.ok() ? text->rfind(')') : std::string::npos;
  if (name_end == std::string::npos || name_end + 2 >= text->size()) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(*text).substr(name_end + 1);
  Stat stat;
  stat.state = rest[1];
  // " S ppid …": field 3 comes first, so that field 22 stands behind the twentieth blank.
  for (int blank = 0; blank < 20; blank++) {
    const std::size_t at = rest.find(' ');
    if (at == std::string_view::npos) {
      return std::nullopt;
    }
    rest.remove_prefix(at + 1);
  }
  std::from_chars(rest.data(), rest.data() + rest.size(), stat.start);
  return stat;
}

// What pids count in: the kernel since its boot, and the container.
std::string PidSpace() {
  const Result<std::string> boot = ReadTextFile("/proc/sys/kernel/random/boot_id", 256);
  char space[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/ns/pid", space, sizeof space);
  if (!boot.ok() || size <= 0) {
    return {};
  }
  return std::string(Trimmed(*boot)) + " " + std::string(space, static_cast<std::size_t>(size));
}

}  // namespace

std::vector<char*> ExecPointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

std::uint64_t ProcessStart(std::int32_t pid) {
  const std::optional<Stat> stat = ReadStat(pid);
  return stat ? stat->start : 0;
}

std::string OwnProcessMark() {
  const std::string space = PidSpace();
  const std::uint64_t start = ProcessStart(::getpid());
  return space.empty() || start == 0
             ? std::string()
             : space + " " + std::to_string(::getpid()) + " " + std::to_string(start);
}

bool IsProcessGone(std::string_view mark) {
  const std::string here = PidSpace() + " ";
  if (here.size() < 2 || !mark.starts_with(here)) {
    return false;
  }
  mark.remove_prefix(here.size());
  const std::size_t blank = mark.find(' ');
  std::int32_t pid = 0;
  std::uint64_t start = 0;
  if (blank == std::string_view::npos || !ParseWhole(mark.substr(0, blank), &pid) || pid <= 0 ||
      !ParseWhole(mark.substr(blank + 1), &start)) {
    return false;
  }
  if (::kill(pid, 0) != 0 && errno == ESRCH) {
    return true;
  }
  // Other people's processes may be hidden: one that cannot be read is alive. One that only waits for its parent is not.
  const std::optional<Stat> stat = ReadStat(pid);
  return stat && (stat->start != start || stat->state == 'Z' || stat->state == 'X');
}

std::optional<ProcessMark> MarkOfProcess(pid_t pid) {
  const std::optional<Stat> stat = pid > 0 ? ReadStat(pid) : std::nullopt;
  if (!stat || stat->start == 0 || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  return ProcessMark{pid, stat->start};
}

bool IsAlive(const ProcessMark& mark) { return MarkOfProcess(mark.pid) == mark; }

std::string FormatMark(const ProcessMark& mark) {
  return std::to_string(mark.pid) + ":" + std::to_string(mark.start);
}

std::optional<ProcessMark> ParseMark(std::string_view text) {
  const std::size_t colon = text.find(':');
  ProcessMark mark;
  if (colon == std::string_view::npos || !ParseWhole(text.substr(0, colon), &mark.pid) ||
      !ParseWhole(text.substr(colon + 1), &mark.start) || mark.pid <= 0) {
    return std::nullopt;
  }
  return mark;
}

std::optional<std::string> VariableOfProcess(pid_t pid, std::string_view name) {
  const Result<std::string> text =
      ReadTextFile("/proc/" + std::to_string(pid) + "/environ", kMaxEnvironment);
  if (!text.ok()) return std::nullopt;
  const std::string prefix = std::string(name) + "=";
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    if (rest.starts_with(prefix)) {
      return std::string(rest.substr(prefix.size(), end - prefix.size()));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

}  // namespace pitr
