// Where a branch is made from: its newest WAL, and the configuration that goes along.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/json_fwd.h"
#include "core/repo/branches.h"
#include "pg/operation_kinds.h"

namespace pitr::pg {

// All that has been committed on it until now is in the repository then: by this server, or by the one of that branch if it runs here.
// THROWS ErrorInFlight.
Status ShipSource(const OperationContext& context, const Branch& source);
// The same of the branch that `source` names to somebody who restores `target`; nothing when there is none. THROWS ErrorInFlight.
Status ShipSourceOf(const OperationContext& context, const BranchSet& branches,
                    const Branch& target, const std::string& source);
// What a server that does not run any more has left of its WAL, killed perhaps, is brought there. Nothing when it runs.
Status ShipLeft(Repository* repo, const Branch& branch);
// As LiveServerJson, of the server of that branch if it has one of its own here, else of this one. THROWS ErrorInFlight.
Result<Json> LiveOf(const Branch& source);
// The same of a directory that holds the configuration of such a server. THROWS ErrorInFlight.
Result<Json> LiveIn(const BranchCompute& compute, const std::string& directory);
// What the server of a branch has otherwise than the one that it is made from: {"base":…,"text":…,"own":…} (src/tool/JOBS.md). THROWS ErrorInFlight.
Json SettingsBeside(const Json& live, const std::vector<std::pair<std::string, std::string>>& own);
// What the catalogue notes of a server in `directory` with those files; the port is still to be chosen.
BranchCompute ComputeOf(const Json& live, const std::string& directory);

}  // namespace pitr::pg
