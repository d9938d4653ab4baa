// What a data directory remembers of WAL that was let go unarchived until the repository knows of it: <data directory>/pitr/dropped_wal.json. The
// archiver adds to it, the launcher sets it aside, tells the repository, and forgets it.
#pragma once

#include <string>
#include <vector>

#include "core/repo/gaps.h"

namespace pitr {

// DURABLE: before the server hears that the segment may go. `folder`: <data directory>/pitr. One process at a time.
Status NoteDropped(const std::string& folder, const Gap& gap);

// All that is noted, set aside or not. Nothing when no WAL was let go.
Result<std::vector<Gap>> ReadDropped(const std::string& folder);

// What is noted is set aside, unless something is already; what is set aside then. What is added meanwhile is noted anew, perhaps with what was
// set aside: whoever is told of it twice sees the same.
Result<std::vector<Gap>> SetDroppedAside(const std::string& folder);
// DURABLE. What was set aside is known elsewhere.
Status ForgetDroppedAside(const std::string& folder);

}  // namespace pitr
