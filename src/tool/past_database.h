// A database of a point of the past, as far as pg_dump of what is in it does not tell: how it was made, whose it was, what was said and set for it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/base/result.h"
#include "tool/connection.h"

namespace pitr::tool {

// To somebody, of then; nobody in particular: to everybody.
struct PastPrivilege {
  std::optional<std::string> role;
  std::string privilege;
  bool is_grantable = false;
};

// ALTER DATABASE … SET, or of a role in it.
struct PastSetting {
  std::optional<std::string> role;
  std::string name, value;
};

struct PastDatabase {
  std::string name, owner, encoding, tablespace;
  Json row;  // of pg_database
  std::optional<std::string> comment;
  std::uint64_t bytes = 0;
  std::optional<std::vector<PastPrivilege>> privileges;  // other than those by default
  std::vector<PastSetting> settings;
  std::set<std::string> roles;        // that own something in it or may do something with it
  std::set<std::string> tablespaces;  // of what is in it
  std::int64_t subscriptions = 0;
};

// Of the server at the point, whose superuser has one of these names. What is returned holds that server, and is a session in the database.
// kNotFound (NoDatabaseThen) with those that there were, kNotReady when nobody may enter it.
Result<Connection> EnterPastDatabase(const ConnectTo& past, const std::string& name,
                                     const CancelToken& cancel);
Result<PastDatabase> ReadPastDatabase(Connection* session, const std::string& name,
                                      const CancelToken& cancel);

// CREATE DATABASE, empty, for nobody but superusers. `live`: quotes.
Result<std::string> CreateCommand(const Connection& live, const PastDatabase& past,
                                  const std::string& name, bool with_tablespace);

// What makes it what it was, each to be tried for itself; `what`: in words. Only of roles that are there.
struct Finish {
  std::string what, command;
};
Result<std::vector<Finish>> FinishCommands(const Connection& live, const PastDatabase& past,
                                           const std::string& name, const std::string& owner,
                                           const std::set<std::string>& roles);

}  // namespace pitr::tool
