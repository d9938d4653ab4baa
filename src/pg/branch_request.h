// What a caller of pitr_create_branch asked for, from arguments to JSON (the slot of an operation) and back.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "pg/restore_request.h"

namespace pitr::pg {

struct BranchRequest {
  RestoreRequest restore;  // source and point, who asked; plan.source is the parent's id
  std::string name;        // empty: the id
  bool start = true, is_protected = false;
  std::optional<Timestamp> expires_at;
  std::vector<std::pair<std::string, std::string>> settings;
  bool schema_only = false;
  // A file with the script, which is too long for the slot, and the database in which it begins. The worker removes it. Empty: none.
  std::string masking_file, masking_database;
};

Json BranchRequestToJson(const BranchRequest& request);
Result<BranchRequest> BranchRequestFromJson(const Json& json);

}  // namespace pitr::pg
