// The folder in an incomplete data directory that says what is missing: made when the directory is laid out, taken away when it is
// complete. Its name begins with what base backup, pg_rewind and pg_checksums leave out, so that a base backup is a plain directory.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/demand/index.h"

namespace pitr::demand {

inline constexpr char kFolder[] = "pgsql_tmp_pitr";
inline constexpr char kIndexFile[] = "pgsql_tmp_pitr/index";
inline constexpr char kBitsFile[] = "pgsql_tmp_pitr/present";
// The backup_label of the snapshot, until recovery has taken it.
inline constexpr char kLabelFile[] = "pgsql_tmp_pitr/backup_label";
// What lies in its place: every server without the library refuses to start on it, since it is no label.
inline constexpr char kMarkerFile[] = "backup_label";
std::string MarkerText(const IndexId& id);

// Everything but inodes and birth times, which are looked up here. DURABLE: folder, index, map, label and marker. A directory has no
// pg_control before that, so that none is ever taken for a plain one.
// REQUIRES: the files are there at their full size.
Status MakeFolder(const std::string& directory, IndexContent content, std::string_view label);

// What a directory that no server of ours has open says of itself.
struct FolderSummary {
  bool is_incomplete = false;
  std::uint64_t absent_bytes = 0;
  std::string snapshot;         // that it was laid out from
  std::set<std::string> packs;  // object names
};
// Not incomplete when there is no folder.
Result<FolderSummary> ReadFolder(const std::string& directory);

// The snapshot that an incomplete directory was laid out from; of the index's head alone. nullopt when there is no folder.
Result<std::optional<std::string>> SnapshotOfFolder(const std::string& directory);

// Does the index of this directory name a place that fetch workers open? Damage is for those to find who open it. Allocates nothing.
bool NeedsFetching(const char* directory) noexcept;

// DURABLE, for a directory whose pages are all there: first the marker goes, then the folder. IDEMPOTENT.
Status RemoveFolder(const std::string& directory);

// Inode and birth time as the index keeps them; zeros when the file system does not say when.
struct FileIdentity {
  std::uint64_t inode = 0, size = 0;
  std::int64_t born_seconds = 0;
  std::uint32_t born_nanos = 0;
};
// 0, or errno. Relative to the open directory.
int LookAtFile(int directory_fd, const char* path, FileIdentity* identity) noexcept;

}  // namespace pitr::demand
