// What a caller of pitr_create_branch asked for, from arguments to JSON (the slot of an operation) and back.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "pg/restore_request.h"

namespace pitr::pg {

struct BranchRequest {
  RestoreRequest restore;  // source and point, who asked; plan.source is the parent's id
  std::string name;        // empty: the id
  bool start = true, is_protected = false;
  std::optional<Timestamp> expires_at;
  std::vector<std::pair<std::string, std::string>> settings;
};

Json BranchRequestToJson(const BranchRequest& request);
Result<BranchRequest> BranchRequestFromJson(const Json& json);

}  // namespace pitr::pg
