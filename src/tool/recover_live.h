// The server that a database of the past comes back to, and what is not finished there.
#pragma once

#include <string>

#include "core/base/json.h"
#include "core/base/result.h"
#include "tool/connection.h"

namespace pitr::tool {

struct ServerPlace {
  std::string host, user;
  int port = 0;
};

// The member {"host":…,"port":…,"user":…} of a job; without a user: ''.
Result<ServerPlace> ParseServerPlace(const Json& job, const char* member);

// As the superuser of initdb, in any database but the one in question. kNotReady with what pg_hba.conf lacks.
Result<Connection> OpenLive(const ServerPlace& live);

// What is not finished goes, of whatever operation: there is one at a time. Names of databases and roles that are gone.
Status RemoveUnfinished(const ServerPlace& live, Json* databases, Json* roles);

}  // namespace pitr::tool
