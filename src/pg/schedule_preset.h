// The plans of hosted services as one call sets them: how far back, and which snapshots.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/repo/branches.h"
#include "core/repo/repository.h"

namespace pitr::pg {

struct Preset {
  const char* name;
  std::optional<std::int64_t> window_seconds;  // none: pitr.restore_window
  std::optional<std::int64_t> keep_count;
  const char* schedule;  // {"items": what pitr_set_backup_schedule is given}
};

// kInvalidArgument lists them.
Result<const Preset*> FindPreset(const std::string& name);
// DURABLE. The retention rules of the branch are those of the preset, and no others.
Status SetPresetRules(Repository* repo, const BranchSet& branches, const BranchId& branch,
                      const Preset& preset);

}  // namespace pitr::pg
