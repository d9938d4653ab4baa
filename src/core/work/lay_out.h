// Makes a data directory from a manifest, in parallel. Every frame is verified (XXH3) before a byte of it is
// written; a damaged one is kCorrupt naming pack, frame and both checksums.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/repo/manifest.h"
#include "core/work/progress.h"

namespace pitr {

struct LayOutOptions {
  std::string directory;  // free (IsFree); 0700
  int workers = 2;
  // <oid> or pg_tblspc/<oid> -> new target directory, absolute; made, or empty. A tablespace of the manifest that is not
  // named here is kInvalidArgument.
  std::map<std::string, std::string> tablespaces;
  // Demand loading: folders of repositories that hold the packs. Relation files of more than kLeastDemandPages pages become sparse files
  // of their full size, to be loaded later by whoever reads them (demand/directory.h). Empty: everything is laid out.
  std::vector<std::string> demand_places;
  // Called when the directories are there, before the files are: what else begins in them works beside their making. May be empty.
  std::function<Status()> on_tree;
};

// Ours in a data directory; snapshots leave it out. The file in it says that the directory is being made (tool/directory_claim.h).
inline constexpr char kOwnFolder[] = "pitr", kClaimFile[] = "building";
// A directory can be made there: nothing is, or nothing but that file.
Result<bool> IsFree(const std::string& directory);

// Smaller files are laid out at once: there may be very many of them, and a page of each is read early.
inline constexpr std::uint32_t kLeastDemandPages = 8;

// Also writes backup_label (and tablespace_map with the new targets) from the manifest. Not fsynced: a directory that
// can be made again is synced once, later, by whoever needs it durable.
// With demand loading the folder that says what is missing, and the marker in backup_label's place that keeps other servers away, are
// durable before pg_control is there.
// On error or cancel the directory is left for the caller to remove.
Status LayOutDirectory(Repository* repo, const Manifest& manifest, const LayOutOptions& options,
                       Progress* progress, const CancelToken* cancel);

// Reads and checks every frame of the manifest without writing: for verify.
Status VerifySnapshot(Repository* repo, const Manifest& manifest, int workers, Progress* progress,
                      const CancelToken* cancel);

}  // namespace pitr
