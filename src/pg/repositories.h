// What the server sees of each repository that pitr.repository names, for the view, pitr_status and pitr_check.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace pitr::pg {

struct RepositoryView {
  std::string label;
  bool is_required = true;
  Status problem;           // why it cannot be used now
  Status catch_up_problem;  // why it is not brought up to date, or what is damaged
  std::uint64_t behind_segments = 0, behind_bytes = 0;
  bool is_behind = false;  // it may lack something, known or not
  std::optional<std::uint64_t> free_bytes;
};

// Each one looked at, unless it failed a moment ago; waits for the network as long as the caller's WaitLimit lets it. THROWS: ErrorInFlight.
std::vector<RepositoryView> LookAtRepositories();
// From memory alone: of several repositories the first that is down or behind; OK when none is, or there is only one.
Status ProblemOfRepositories();

}  // namespace pitr::pg
