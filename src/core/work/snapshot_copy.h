// Copies the files of a running (or stopped) data directory into packs. Runs in the `pitr` program with threads,
// between the server's backup start and stop; what it returns becomes the manifest once the stop LSN is known.
#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/log.h"
#include "core/repo/manifest.h"
#include "core/work/progress.h"

namespace pitr {

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
};

// Fills id, files, frames, packs, bad_pages, control, database_bytes, new_bytes, stored_bytes of `manifest`. Packs are
// durable when it returns OK; on any error what it wrote is removed as far as possible (the rest is collected later).
// Left out as the server's own base backup does (src/backend/backup/basebackup.c excludeFiles/excludeDirContents),
// unlogged relations but for their init fork, temporary relations, pgsql_tmp*. global/pg_control comes last.
Status CopySnapshot(Repository* repo, const SnapshotCopyOptions& options, Manifest* manifest,
                    Progress* progress, const CancelToken* cancel);

}  // namespace pitr
