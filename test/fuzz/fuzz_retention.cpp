// The documents of retention: whatever is read is refused or makes sense.
#include <cstdint>
#include <cstdlib>

#include "core/base/json.h"
#include "core/repo/retention_rules.h"
#include "core/repo/wal_removals.h"

namespace {

void Check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const pitr::Result<pitr::Json> json =
      pitr::ParseJson(pitr::AsText({data, size}), "fuzz", 1U << 20);
  if (!json.ok()) {
    return 0;
  }
  const pitr::Result<pitr::RetentionRuleSet> rules = pitr::DecodeRetentionRules(*json);
  if (rules.ok()) {
    for (const auto& [id, entry] : *rules) {
      Check(!entry.rules || entry.rules->window_seconds.value_or(0) >= 0);
      static_cast<void>(pitr::RulesOf(*rules, {}, id));
    }
  }
  const pitr::Result<pitr::WalRemovals> removals = pitr::DecodeWalRemovals(*json);
  if (removals.ok()) {
    for (const auto& [id, removal] : *removals) {
      Check(pitr::AreSame(pitr::SortedRanges(removal.removed), removal.removed));
      static_cast<void>(pitr::IsRemovedWal(
          *removals, "branches/" + id + "/wal/00000001/000000010000000000000005"));
    }
  }
  return 0;
}
