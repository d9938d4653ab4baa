// Configuration and key files of a data directory: what neither initdb nor the server makes there, and what the running
// server's settings name inside it. A replacement takes them over from the live directory (internals 18).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace pitr {

struct LiveFilesOptions {
  std::string live_directory;
  std::string directory;  // that takes them over
  std::vector<std::string>
      named;  // relative to live_directory, or absolute; those outside of it are not our business
  std::vector<std::string>
      excluded;  // top-level names besides those of IsServerEntry, e.g. the log directory
  // When they differ: the replacement's postgresql.auto.conf sets the second instead of the first, or its first commit waits for
  // standbys that are gone (rules.md 3).
  std::string synchronous_standby_names;
  std::string own_standby_names;  // those that come back by themselves
};

// Top-level entries of a data directory that initdb, the server or this product makes (15 to 18), and what is nobody's
// configuration (core dumps, lost+found). postgresql.conf, pg_hba.conf, pg_ident.conf and postgresql.auto.conf are none of them.
bool IsServerEntry(std::string_view name);

// Copies all top-level entries that are not IsServerEntry and the named ones; each replaces what `directory` has under that name,
// whole folders too. Without a postgresql.auto.conf in the live directory the other one loses its own. Removes recovery.signal
// and standby.signal. Symbolic links stay links, sockets and pipes are left out, a file that is not ours loses the rights of others,
// because the server wants it so for keys. Not fsynced. IDEMPOTENT.
Status CopyLiveFiles(const LiveFilesOptions& options);

// `path` as it will be found in `directory`: a path inside `live_directory` (links resolved) is moved, another one stays.
std::string PathInReplacement(const std::string& path, const std::string& live_directory,
                              const std::string& directory);

}  // namespace pitr
