// What a caller of pitr_restore_branch or pitr_plan_restore asked for, from arguments to JSON (the slot of an operation) and back.
#pragma once

#include <string>

#include "core/base/json_fwd.h"
#include "core/plan/restore_plan.h"

namespace pitr::pg {

struct RestoreRequest {
  PlanRequest plan;
  std::string undo_name;  // empty: the automatic one
  bool preserve = true, keep_passwords = true, force = false;
  bool below_backup = false;  // parent_after => 'backup'
  bool finalize = true;
  bool wait = true;
  BranchId target;     // another branch than the connected one; empty: that
  bool reset = false;  // its time to live begins anew
  std::string function, arguments, role_name, client_addr;  // for the audit row
};

Json RequestToJson(const RestoreRequest& request);
Result<RestoreRequest> RequestFromJson(const Json& json);

// The plan as the `build` job takes it.
Json PlanToJson(const RestorePlan& plan);

}  // namespace pitr::pg
