#include "core/repo/log_cache.h"

#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/json.h"

namespace pitr {

namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kMaxSize = 32U << 20;

std::string PathOf(const std::string& directory, std::string_view kind) {
  return JoinPath(directory, std::string(kind) + ".log.json");
}

bool ReadEntries(const Json& json, LogEntries* log) {
  const Result<std::uint64_t> from = JsonUint(json, "from");
  const Result<std::uint64_t> newest = JsonUint(json, "newest");
  const Json* entries = JsonArray(json, "entries");
  if (!from.ok() || !newest.ok() || entries == nullptr || *from > *newest) {
    return false;
  }
  log->from = *from;
  log->newest = *newest;
  std::uint64_t last = *from;
  for (const Json& entry : *entries) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number_unsigned() ||
        !entry[1].is_object()) {
      return false;
    }
    const auto number = entry[0].get<std::uint64_t>();
    if (number <= last || number > *newest) {
      return false;
    }
    last = number;
    log->entries.emplace_back(number, entry[1]);
  }
  return true;
}

}  // namespace

LogEntries LoadLogCache(const std::string& directory, std::string_view repository_id,
                        std::string_view kind) {
  const Result<std::string> text = ReadTextFile(PathOf(directory, kind), kMaxSize);
  if (!text.ok()) {
    return {};
  }
  const Result<Json> json = ParseJson(*text, "log cache", kMaxSize);
  if (!json.ok()) {
    return {};
  }
  const Result<std::int64_t> version = JsonInt(*json, "version");
  const Result<std::string> repository = JsonText(*json, "repository");
  LogEntries log;
  const bool fits = version.ok() && *version == kVersion && repository.ok() &&
                    *repository == repository_id && ReadEntries(*json, &log);
  return fits ? log : LogEntries();
}

void StoreLogCache(const std::string& directory, std::string_view repository_id,
                   std::string_view kind, const LogEntries& log) {
  const std::size_t skipped =
      log.entries.size() > kCachedEntries ? log.entries.size() - kCachedEntries : 0;
  Json json;
  json["version"] = kVersion;
  json["repository"] = repository_id;
  json["from"] = skipped == 0 ? log.from : log.entries[skipped - 1].first;
  json["newest"] = log.newest;
  Json entries = Json::array();
  for (std::size_t i = skipped; i < log.entries.size(); i++) {
    entries.push_back(Json::array({log.entries[i].first, log.entries[i].second}));
  }
  json["entries"] = std::move(entries);
  (void)::mkdir(directory.c_str(), 0700);
  (void)WriteFileLoosely(PathOf(directory, kind), AsBytes(DumpJson(json)));
}

}  // namespace pitr
