// Copies the files of a running (or stopped) data directory into packs. Runs in the `pitr` program with threads,
// between the server's backup start and stop; what it returns becomes the manifest once the stop LSN is known.
#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/log.h"
#include "core/base/pace.h"
#include "core/plan/changed_pages.h"
#include "core/repo/manifest.h"
#include "core/work/progress.h"

namespace pitr {

struct SnapshotCopyFigures {
  std::uint64_t read_bytes = 0;  // from the data directory
  std::uint64_t compacted_bytes =
      0;  // of these, unchanged pages that were stored anew (increment_plan.h)
};

struct SnapshotCopyOptions {
  std::string data_directory;
  SnapshotId snapshot;
  int compression_level = 1;
  int workers = 2;
  std::uint64_t pack_target = kPackTarget;        // a pack is closed once it is that long
  std::vector<std::string> excluded_directories;  // relative, contents left out (log directory)
  bool verify_checksums = false;                  // if the cluster has them
  Lsn start_lsn;             // pages with a newer LSN may be torn and are not judged
  Logger* logger = nullptr;  // what was skipped, damaged pages; may be null
  // For an increment: the snapshot before, and what changed since; how long its packs are, as far as is known.
  const Manifest* base = nullptr;
  const ChangedPages* changed = nullptr;
  std::vector<std::uint64_t> base_pack_sizes;
  SnapshotCopyFigures* figures = nullptr;  // may be null
  Pace* pace = nullptr;                    // of reading; may be null
};

// Fills id, kind, based_on, files, frames, packs, bad_pages, control, database_bytes, new_bytes, stored_bytes of `manifest`. Packs are
// durable when it returns OK; on any error what it wrote is removed as far as possible (the rest is collected later).
// Left out as the server's own base backup does (src/backend/backup/basebackup.c excludeFiles/excludeDirContents),
// unlogged relations but for their init fork, temporary relations, pgsql_tmp*. global/pg_control comes last.
Status CopySnapshot(Repository* repo, const SnapshotCopyOptions& options, Manifest* manifest,
                    Progress* progress, const CancelToken* cancel);

}  // namespace pitr
