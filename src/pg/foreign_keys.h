// Whether foreign keys hold, for content that came without their triggers. THROW ErrorInFlight.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "pg/local_sql.h"

namespace pitr::pg {

// Oids of those of a table and of those that point at it, the ones above partitions in their place; only what is said to hold today.
Result<std::vector<std::string>> ForeignKeysAround(Oid table);

// What stands against one: up to `most` lines as the server tells them. Read as an owner of one of its tables, or as
// whoever calls; kPermission when none of them may read both.
Result<std::vector<std::string>> ViolationsOf(const std::string& constraint, std::size_t most);

}  // namespace pitr::pg
