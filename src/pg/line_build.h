// What the operations have in common that build the directory of a new line of history: the job for the child, the line in the
// catalogue, the pin of its snapshot.
#pragma once

#include <string>

#include "core/base/json_fwd.h"
#include "core/plan/restore_plan.h"
#include "core/repo/branches.h"
#include "core/repo/identity.h"
#include "pg/operation_kinds.h"
#include "pg/restore_request.h"

namespace pitr::pg {

// The plan, and what would stand in its way: disk space and, where this server itself is restored, what that would break. THROWS ErrorInFlight.
Result<RestorePlan> PlanAndCheck(const OperationContext& context, const BranchSet& branches,
                                 const RestoreRequest& request, bool of_this_server);
// The row of an operation that was asked for by `request`.
Status AuditOperation(const OperationContext& context, const RestoreRequest& request,
                      const std::string& branch, const char* outcome);

// What every job on a directory needs: where programs are, a place for its private socket, today's configuration. THROWS ErrorInFlight.
// `sockets_below`: a directory of the caller's for that place; else the branch directory.
Result<Json> CommonJob(const OperationContext& context, const std::string& directory,
                       const std::string& sockets_below = {});
// The job of kind "build". THROWS ErrorInFlight.
Result<Json> BuildJob(const OperationContext& context, const RestorePlan& plan,
                      const BranchId& branch, const std::string& directory, bool keep_passwords,
                      const std::string& sockets_below = {});

// The directory is for a server with this configuration, whose own setting of synchronous standbys is as it stands there.
void PutLive(const Json& live, Json* job);

// A line that forks off at the end of the plan, in state "creating": its directory is made by the server of `self`. It has no name but
// its id, and no parent.
Branch NewLine(const Branch& self, const RestorePlan& plan, const BranchId& id,
               const std::string& role);
// The line never came to be (BranchSet::GiveUp). Failures go to the log.
void DropLine(Repository* repo, const BranchId& id);

// Servers elsewhere delete snapshots too, and know nothing of this directory. The launcher renews the pin and lets go of it.
Status PinForLoading(Repository* repo, const RestorePlan& plan, const BranchId& id,
                     const std::string& directory);

// The row that a restore answers with; without a name nothing is preserved.
Json RestoreAnswer(const OperationContext& context, const char* state, const std::string& branch,
                   const BranchId& id, const RestorePlan& plan, TimelineId timeline,
                   const std::string& undo_name, const BranchId& undo_id);
// What became of roles, from the answer of a child; empty when there is nothing to tell.
std::string RolesNotice(const Json& built);

// The child wants to know today's roles. THROWS ErrorInFlight.
Result<Json> AnswerRoles(const std::string& need);
// They stay as they were at the point: those of another branch are not ours to know.
Result<Json> LeaveRoles(const std::string& need);

}  // namespace pitr::pg
