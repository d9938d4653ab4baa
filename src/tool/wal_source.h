// Where a recovering server's WAL comes from, and the folder in which read-ahead meets wal-get. Written as wal-get.json by who
// starts the server, read by each `pitr wal-get`: everything that is known stands in it, so that a call costs one request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/repo/access.h"
#include "core/repo/branches.h"

namespace pitr::tool {

struct WalSource {
  RepositoryAccess repository;
  // AncestryOf() the line that recovery follows; of each branch only what WalReader asks for.
  std::vector<Branch> line;
  std::vector<BranchId> family;  // every line of the root: who may hold a history file
  std::vector<TimelineId>
      used_timelines;  // ascending; numbers never to be opened again (internals 14)
  TimelineId target_timeline = 0;
  std::string spool;    // absolute; empty = no read-ahead
  bool durable = true;  // fsync what is delivered; off where the directory can be made again
};

std::string WalSourceText(const WalSource& source);
Result<WalSource> ParseWalSource(std::string_view text);

// Replaces `path` through a temporary file beside it; on disk only when `durable`.
Status PublishFile(const std::string& path, ByteView bytes, bool durable);

// The spool: read-ahead puts "<segment>" there, wal-get (or, in its place, the shell of a restore_command: RestoreCommand) takes it
// and notes in "position" how far recovery has come.
std::string SpoolFile(const std::string& spool, const std::string& segment_name);
std::string SpoolPartFile(const std::string& spool, const std::string& segment_name);
// Name of the segment that was delivered last; empty when none was, or while it is being noted.
std::string ReadSpoolPosition(const std::string& spool);
// Notes the position and removes what lies before it.
Status MoveSpoolPosition(const std::string& spool, const std::string& segment_name);

}  // namespace pitr::tool
