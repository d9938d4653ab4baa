// What an operation worker can do; each runs in the worker's process and returns how it ended. A Status from them is the
// operation's failure; nothing is left behind.
#pragma once

#include <string>

#include "core/repo/identity.h"
#include "core/repo/repository.h"
#include "pg/child.h"
#include "pg/operation.h"

namespace pitr::pg {

struct OperationContext {
  Repository* repo;
  const Identity* identity;
  RunningOperation* operation;
  std::string id;  // of the operation
};

Result<Json> RunSnapshot(const OperationContext& context);
Result<Json> RunVerify(const OperationContext& context);
// A server at a point of the past, for readers (look_table.h).
Result<Json> RunLook(const OperationContext& context);
// pitr_create_dump; the answer has "dump".
Result<Json> RunDump(const OperationContext& context);
// pitr_restore_dump; the answer has "database" and "rows".
Result<Json> RunRestoreDump(const OperationContext& context);
// pitr_create_branch; "branch_id" of the one that there is then.
Result<Json> RunCreateBranch(const OperationContext& context);
// pitr_run_drill; its row is in the repository then, and it fails when what was restored is not as it should be.
Result<Json> RunDrill(const OperationContext& context);
// pitr_undelete_branch of a branch that has a server.
Result<Json> RunUndelete(const OperationContext& context);
// A restore or reset of another branch with a server here; the answer row.
Result<Json> RunRestoreOther(const OperationContext& context);
// A restore with finalize => false, of any branch here: a branch that can be looked at; the answer row.
Result<Json> RunBuildRestore(const OperationContext& context);
// Another branch with a server here gets a directory that is there: of an undo branch, or one that was built. The answer row.
Result<Json> RunReturnOther(const OperationContext& context);
// These do not return when they succeed: the process ends with the exchange that it armed.
Result<Json> RunRestore(const OperationContext& context);
Result<Json> RunUndo(const OperationContext& context);  // and what was built before

// Serves the child's lines until its result: progress into the slot, notes into the log, needs answered by `answer`.
Result<Json> RunChild(const OperationContext& context, const Json& job,
                      const std::function<Result<Json>(const std::string& need)>& answer);

}  // namespace pitr::pg
