// Databases of the past that come back (pitr_recover_database): the operation, and the launcher's part, which removes what is left of one that ended
// with its server or its worker. There is something to look for as long as a file of the data directory says so; what it is the child finds by names
// and comments (core/work/recovered_database.h), so nothing of anybody else's is touched.
#pragma once

#include <string>
#include <string_view>

#include "core/repo/branches.h"
#include "core/repo/identity.h"
#include "pg/operation_kinds.h"

namespace pitr::pg {

// Kinds of operations. They go on beside the others, but for those that end the server.
inline constexpr char kRecover[] = "recover", kRecoverTidy[] = "recover_tidy";
bool IsRecovery(std::string_view kind);

// The file.
std::string RecoverMarker();
// {"host":…,"port":…,"user":…}: how a program reaches this server as its first superuser. THROWS ErrorInFlight.
Json OwnServerJson();

// The workers. THROW ErrorInFlight.
Result<Json> RunRecover(const OperationContext& context);
Result<Json> RunRecoverTidy(const OperationContext& context);

// The launcher, when it sweeps. THROWS ErrorInFlight.
Status TidyRecovered(const BranchSet& branches, const Identity& identity);

}  // namespace pitr::pg
