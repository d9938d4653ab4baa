// The newest entries of the repository's logs beside the server that reads them: entries never change, so only what is newer is asked of
// the store. A file for each log; one that is damaged, or of another repository, counts as none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.h"

namespace pitr {

struct LogEntries {
  std::uint64_t from =
      0;  // every entry with a number above it, up to the last, is there (or was collected)
  std::uint64_t newest = 0;
  std::vector<std::pair<std::uint64_t, Json>> entries;  // by number, ascending
};

inline constexpr std::size_t kCachedEntries = 1000;

LogEntries LoadLogCache(const std::string& directory, std::string_view repository_id,
                        std::string_view kind);
// The newest kCachedEntries. Whole or not at all, not synced; a failure is of no consequence.
void StoreLogCache(const std::string& directory, std::string_view repository_id,
                   std::string_view kind, const LogEntries& log);

}  // namespace pitr
