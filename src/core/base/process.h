// Processes of a machine as others may see them later: pids are used again, and mean something else in another container or since a boot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pitr {

// "?" when the machine has none.
std::string HostName();

// Start time in clock ticks; 0 when it is gone or cannot be looked at.
std::uint64_t ProcessStart(std::int32_t pid);

// "<boot> <pid namespace> <pid> <start>", of this process; empty where the system does not say.
std::string OwnProcessMark();
// Whether the process of a mark is gone, when that is certain: never for one of another machine, boot or container.
bool IsProcessGone(std::string_view mark);

}  // namespace pitr
