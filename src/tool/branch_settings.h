// The member "branch_settings" of a job: what the server of a branch has otherwise than the one that it was made from.
#pragma once

#include <optional>
#include <vector>

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "tool/staging_config.h"

namespace pitr::tool {

// In the order in which they win: what comes later is stronger. Nothing when the job has no such member.
Result<std::optional<std::vector<Setting>>> ParseBranchSettings(const Json& job);

}  // namespace pitr::tool
