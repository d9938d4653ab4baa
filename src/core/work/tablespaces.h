// Tablespaces of data directories that are made beside each other. Each directory has targets of its own, on the disk that the
// administrator chose: <location>/<branch id>/<oid>, where the server never looks by itself (it looks at <location>/PG_…). The links in
// pg_tblspc belong to their directory, wherever that moves.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/types/ids.h"

namespace pitr {

struct TablespaceLink {
  std::string oid, target;
};
// Links of pg_tblspc, as they are written; folders there (in-place tablespaces) are not among them. None when there is no pg_tblspc.
Result<std::vector<TablespaceLink>> TablespaceLinks(const std::string& directory);

// Where a directory of branch `branch` has its own, when another one has it at `location`; from a location of that kind to a place
// beside it, not below.
std::string TablespaceTarget(std::string_view location, const BranchId& branch,
                             std::string_view oid);

// What replay of CREATE TABLESPACE does (tablespace.c create_tablespace_directories, 15 to 18), but with a target of the directory's
// own: the location may be in use by the server that the WAL came from. A link that is there already is kept. Durable with the file system.
Status ReplayCreateTablespace(const std::string& directory, std::string_view location,
                              const BranchId& branch, const std::string& oid,
                              std::string_view version_folder);

// Removes a data directory that nobody uses, and what it has in its tablespaces, unless `live` or another directory beside it has links
// to the same place. One that is called after its branch gets another name first (".gone" behind it): what is half removed is never taken for
// a data directory. Called again, it goes on.
Status RemoveDataDirectory(const std::string& directory, const std::string& live);
inline constexpr std::string_view kGoneSuffix = ".gone";
std::string_view WithoutGone(std::string_view name);

}  // namespace pitr
