// The end of `pitr restore`: starting the directory that it made, also where this extension is not installed, and saying what comes
// next.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace pitr::tool {

struct RestoredServer {
  std::string bin_directory;  // PostgreSQL's programs
  std::string directory;
  std::string branch;  // the name of the new line
  bool is_incomplete = false;
};

// "b" of " a, \"pitr_ext\",b": the list of libraries without ours; nullopt when ours is not in it.
std::optional<std::string> WithoutOurLibrary(const std::string& libraries);

// Starts the server and waits until it answers. Where its configuration preloads our library and that is not installed, it is
// left out for this start; WAL is then kept and not archived. kNotReady with the place of its log when it does not start.
Status StartRestored(const RestoredServer& server);

// Lines for people, numbered, for a server that was started or not.
std::vector<std::string> NextSteps(const RestoredServer& server, bool is_started);

}  // namespace pitr::tool
