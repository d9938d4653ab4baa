// What a build asks the repository about WAL, asked while files are laid out: from a distant store it is a dozen answers, one after the other.
#pragma once

#include <future>
#include <vector>

#include "core/base/result.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"
#include "core/types/lsn.h"
#include "core/types/wal_name.h"

namespace pitr::tool {

class WalLookup {
 public:
  struct Path {
    std::vector<Branch> line;         // AncestryOf() the line
    std::vector<Branch> family;       // every line of the root
    std::vector<SegmentId> segments;  // that hold [from, to), in the order of replay
    std::vector<TimelineId> timelines;
  };

  // Begins. `repo` must outlive this; the destructor waits for what is still asked.
  WalLookup(Repository* repo, const BranchId& line, Lsn from, Lsn to);

  // Each waits for its answer and may be asked for it once, the path first.
  Result<Path> TakePath();
  Result<std::vector<TimelineId>> TakeUsedTimelines();

 private:
  Repository* repo_;
  std::future<Result<Path>> path_;
  std::future<Result<std::vector<TimelineId>>> used_;
};

}  // namespace pitr::tool
