// Ports for the servers of branches: pitr.branch_ports, "6000-6099" or a list of ranges and single ports with commas between.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace pitr {

struct PortRange {
  int first = 0, last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// kInvalidArgument with the position of what is wrong. An empty text is wrong too.
Result<std::vector<PortRange>> ParsePortRanges(std::string_view text);

// The first one that is not `taken` and of which `is_free` says so. kLimit when there is none.
Result<int> ChoosePort(const std::vector<PortRange>& ranges, const std::set<int>& taken,
                       const std::function<bool(int)>& is_free);

// Nobody listens on it on this machine, by TCP or by a socket in one of the directories.
bool IsPortFree(int port, const std::vector<std::string>& socket_directories);

}  // namespace pitr
