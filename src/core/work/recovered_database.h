// A database of the past that comes back beside those of today (pitr_recover_database): what it is called while it is made, which tells it and the
// roles that are made for it apart from anybody's, and the words for it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/types/ids.h"

namespace pitr {

// Until it is whole, and nobody but superusers gets in: "pitr_recovering_<id of the operation>".
std::string UnfinishedDatabase(const OperationId& operation);
bool IsUnfinishedDatabase(std::string_view name);
// The comment on it, and on each role that is there for it only.
std::string UnfinishedComment(const OperationId& operation);
// Commands for the server that it is made in: what is left of any that is not finished, one name a row.
std::string LeftDatabasesQuery();
std::string LeftRolesQuery();
// Ends whoever makes such a database at this moment, a row each.
std::string MakersQuery();

// What is said of one that a point does not have.
std::string NoDatabaseThen(std::string_view name);

// kDiskFull unless a copy of that many bytes fits with some room left.
Status CheckRoomForDatabase(std::uint64_t bytes, std::uint64_t free, const std::string& place);

// The parameter holds a list of names (GUC_LIST_QUOTE).
bool IsListParameter(std::string_view name);
// The elements of such a list as pg_db_role_setting keeps it: `"$user", public`.
std::vector<std::string> ListElements(std::string_view value);

}  // namespace pitr
