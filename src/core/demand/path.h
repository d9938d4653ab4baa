// Names of files as the server says them, absolute or not, and as the index has them.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace pitr::demand {

// Paths under which the data directory is called, absolute, without a slash at the end; for each tablespace its folder ("pg_tblspc/16400")
// and a path that it is called by: base backups name files through the link's target. Before any child is made.
void UsePaths(const char* name, const char* real_name,
              std::vector<std::pair<std::string, std::string>> tablespaces);

// Relative to the data directory, without "./": nullptr when the path leads elsewhere. What it points to is good until the next call.
const char* PathInDirectory(const char* path) noexcept;

}  // namespace pitr::demand
