#include "pg/branch_sizes.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/compute.h"
#include "pg/server_facts.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kMaxSize = 4U << 20;
// Some 2 % of one processor at most, while a round goes on: a directory of 100,000 files takes less than a minute.
constexpr std::int64_t kSliceMs = 20;
constexpr std::size_t kStep = 64;  // entries between two looks at the clock
constexpr std::int64_t kRoundMs = 60'000;

// A branch's server leaves to its host what is not its own.
bool IsMeasuredHere(const std::string& directory) {
  if (!IsCompute()) return true;
  const Result<std::string> own = BranchDirectory();
  return own.ok() && DirectoryName(directory) == *own;
}

std::string NotePath() { return JoinPath(CacheDirectory(), "branch_sizes.json"); }

}  // namespace

BranchSizes BranchSizes::Load() {
  BranchSizes loaded;
  const Result<std::string> text = ReadTextFile(NotePath(), kMaxSize);
  if (!text.ok()) return loaded;
  const Result<Json> json = ParseJson(*text, "branch sizes", kMaxSize);
  if (!json.ok()) return loaded;
  const Result<std::int64_t> version = JsonInt(*json, "version");
  const Json* rows = JsonArray(*json, "sizes");
  if (!version.ok() || *version != kVersion || rows == nullptr) return loaded;
  for (const Json& row : *rows) {
    const Result<std::string> id = JsonText(row, "id");
    const Result<std::int64_t> bytes = JsonInt(row, "bytes");
    if (id.ok() && bytes.ok()) loaded.sizes_.emplace(*id, *bytes);
  }
  return loaded;
}

std::optional<std::int64_t> BranchSizes::Of(const BranchId& id) const {
  const auto found = sizes_.find(id);
  return found == sizes_.end() ? std::nullopt : std::optional<std::int64_t>(found->second);
}

void BranchSizer::Take(const BranchSet& branches, const Identity& identity) {
  directories_.clear();
  for (const Branch& branch : branches.branches) {
    // Another server's directory may have the same path, on another machine.
    if (!(branch.root == identity.root)) continue;
    if (branch.id == identity.branch_id) {
      directories_.emplace(branch.id, DataDirectory());
    } else if (branch.directory && !branch.deleted_at && IsMeasuredHere(*branch.directory)) {
      directories_.emplace(branch.id, *branch.directory);
    }
  }
  std::erase_if(sizes_, [&](const auto& size) { return !directories_.contains(size.first); });
  const bool has_new =
      std::any_of(directories_.begin(), directories_.end(),
                  [&](const auto& directory) { return !sizes_.contains(directory.first); });
  const std::int64_t now = SystemClock().MonotonicMillis();
  const bool is_old = !round_began_ms_ || now - *round_began_ms_ >= kRoundMs;
  if (waiting_.empty() && (is_old || has_new)) {
    waiting_ = directories_;
    round_began_ms_ = now;
  }
}

void BranchSizer::Tick() {
  const std::int64_t until = SystemClock().MonotonicMillis() + kSliceMs;
  while (!waiting_.empty() && SystemClock().MonotonicMillis() < until) {
    if (!usage_) usage_.emplace(waiting_.begin()->second);
    if (usage_->Advance(kStep)) NoteOne();
  }
}

// All that is known, with the one that was just measured.
void BranchSizer::NoteOne() {
  const std::optional<std::uint64_t> bytes = usage_->bytes();
  sizes_[waiting_.begin()->first] =
      bytes ? std::optional<std::int64_t>(static_cast<std::int64_t>(*bytes)) : std::nullopt;
  usage_.reset();
  waiting_.erase(waiting_.begin());
  Json json;
  json["version"] = kVersion;
  json["sizes"] = Json::array();
  for (const auto& [id, size] : sizes_) {
    if (!size) continue;
    Json row;
    row["id"] = id;
    row["bytes"] = *size;
    json["sizes"].push_back(std::move(row));
  }
  // A note that cannot be written is made again in the next round.
  (void)::mkdir(CacheDirectory().c_str(), 0700);
  (void)WriteFileLoosely(NotePath(), AsBytes(DumpJson(json)));
}

}  // namespace pitr::pg
