// Processes of a machine as others may see them later: pids are used again, and mean something else in another container or since a boot.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pitr {

// For the calls that start a program: `texts` must outlive what is given, a null at its end.
std::vector<char*> ExecPointers(std::vector<std::string>* texts);

// "?" when the machine has none.
std::string HostName();

// Start time in clock ticks; 0 when it is gone or cannot be looked at.
std::uint64_t ProcessStart(std::int32_t pid);

// "<boot> <pid namespace> <pid> <start>", of this process; empty where the system does not say.
std::string OwnProcessMark();
// Whether the process of a mark is gone, when that is certain: never for one of another machine, boot or container.
bool IsProcessGone(std::string_view mark);

// In the environment of a branch's server: the mark of the postmaster that it belongs to.
inline constexpr std::string_view kHostVariable = "PITR_HOST";

// A pid and a start time: one process as long as the machine is up.
struct ProcessMark {
  pid_t pid = 0;
  std::uint64_t start = 0;  // clock ticks after the machine came up
  friend bool operator==(const ProcessMark&, const ProcessMark&) = default;
};

// For processes of this machine and container. Nothing for one that is not there, or is a zombie.
std::optional<ProcessMark> MarkOfProcess(pid_t pid);
bool IsAlive(const ProcessMark& mark);

// "<pid>:<start>"
std::string FormatMark(const ProcessMark& mark);
std::optional<ProcessMark> ParseMark(std::string_view text);

// Of a process of this user; nothing when it is not there or has no such variable.
std::optional<std::string> VariableOfProcess(pid_t pid, std::string_view name);

}  // namespace pitr
