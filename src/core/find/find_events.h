// Events of a branch's history, found in the WAL of the repository: the indexes say which segments can hold some, only those are read.
#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/find/event.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"

namespace pitr::find {

struct FoundEvents {
  std::vector<FoundEvent> events;  // in LSN order
  // Parts of the window that the repository has no WAL of, for people.
  std::vector<std::string> gaps;
  std::uint64_t segments = 0, segments_read = 0;
};

// kCancelled between segments.
Result<FoundEvents> FindEvents(Repository* repo, const BranchSet& branches, const BranchId& branch,
                               const FindRequest& request, const CancelToken* cancel);

}  // namespace pitr::find
