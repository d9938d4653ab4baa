// Sessions of ours on a server at a point of the past, which has settings and locks of then.
#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "tool/connection.h"

namespace pitr::tool {

// For programs of PostgreSQL: what roles and databases set for their sessions must not disturb them.
std::vector<std::string> EnvironmentOfPrograms();

// What they have done is not committed at that point, and their locks would be waited for.
Status RollBackPrepared(const ConnectTo& to, Connection* connection, const CancelToken& cancel);

}  // namespace pitr::tool
