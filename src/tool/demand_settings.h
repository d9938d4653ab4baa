// What a server needs so that it can run on a directory of `pitr restore --demand-load`, while that is incomplete.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/repo/access.h"

namespace pitr::tool {

// Of a server whose configuration says nothing else (default of pitr.fetch_workers).
inline constexpr int kFetchWorkers = 4;

// kNotReady without it: nobody could read the directory that would be made.
Status CheckCanLoadLater(const std::string& bin_directory);

// DURABLE. Into postgresql.auto.conf, which is read last and from the data directory wherever the rest lies: the library, the repository with
// where its key is, fsync, and a way of reading that can be led to the library. What the configuration says already is left as it is.
Status WriteDemandSettings(const std::string& bin_directory, const std::string& directory,
                           const RepositoryAccess& access, std::uint32_t server_major);

}  // namespace pitr::tool
