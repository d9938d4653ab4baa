#include "tool/auto_conf.h"

#include "core/base/file.h"

namespace pitr::tool {

namespace {

constexpr std::uint64_t kMaxConfiguration = 1ULL << 20;

}  // namespace

Status AppendToAutoConf(const std::string& directory, const std::vector<Setting>& settings) {
  const std::string path = JoinPath(directory, "postgresql.auto.conf");
  Result<std::string> text = ReadTextFile(path, kMaxConfiguration);
  if (!text.ok() && text.status().code() != Code::kNotFound) return text.status();
  std::string changed = text.ok() ? *text : std::string();
  if (!changed.empty() && changed.back() != '\n') changed += '\n';
  for (const auto& [name, value] : settings) {
    changed += ConfigLine(name, value);
  }
  return WriteFileDurably(path, AsBytes(changed));
}

}  // namespace pitr::tool
