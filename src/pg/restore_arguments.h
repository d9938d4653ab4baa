// Arguments of the restore and plan functions, which come in four shapes, as one RestoreRequest.
#pragma once

#include "pg/restore_request.h"
#include "pg/session.h"

namespace pitr::pg {

enum class RestoreShape { kText, kTime, kLsn, kSource };

// `has_wait`: the restore functions have a last argument that the plan functions lack. `function`: name for the audit row.
// Errors: those of the grammar (kInvalidText, kInvalidArgument), names (kInvalidName, kNameTooLong, kAlreadyExists), kNotFound.
Result<RestoreRequest> ReadRestoreArguments(FunctionCallInfo fcinfo, RestoreShape shape,
                                            const Session& session, const char* function,
                                            bool has_wait);
// A point as people write it: source[@point], or a bare target of the connected branch, into `plan`, whose `now` is set. kInvalidText, kInvalidTime,
// kInvalidArgument. THROWS ErrorInFlight.
Status ReadPoint(const std::string& text, const Session& session, PlanRequest* plan);
// The arguments as text, for the audit row of a call that fails before they are understood.
std::string DescribeArguments(FunctionCallInfo fcinfo, RestoreShape shape);

}  // namespace pitr::pg
