// The timelines that a family of lines has ever used.
#pragma once

#include <vector>

#include "core/base/result.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"

namespace pitr {

// Ascending: numbers that a new line of the family never opens (internals 14). Three listings for each line, by some threads at a time: from a
// distant store a family of sixty would take seconds otherwise. REQUIRES: `family` is not empty.
Result<std::vector<TimelineId>> UsedTimelines(Repository* repo,
                                              const std::vector<const Branch*>& family);

}  // namespace pitr
