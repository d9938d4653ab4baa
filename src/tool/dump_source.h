// What a server has that is dumped, or was restored: its databases, and how many rows their tables have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/repo/dumps.h"
#include "tool/connection.h"

namespace pitr::tool {

struct DumpServer {
  std::string bin_directory;
  std::string host;  // directory of its socket, or an address
  int port = 5432;
  std::string user;  // a superuser
};

// Members of a job: "bin_directory", "host", "port", "user".
Result<DumpServer> DumpServerOf(const Json& job);
std::string DumpProgram(const DumpServer& server, const char* name);
std::string ConnectionOf(const DumpServer& server, const std::string& database);
// For PostgreSQL's programs: what roles and databases set for their sessions must not disturb them.
std::vector<std::string> DumpEnvironment();

struct SourceDatabase {
  DumpDatabase database;      // its name and what CREATE DATABASE wants
  std::uint64_t on_disk = 0;  // bytes
};
// By name: that one (kNotFound), or all that can be connected to but template1, which is what initdb makes of it.
Result<std::vector<SourceDatabase>> DatabasesOf(const DumpServer& server,
                                                const std::optional<std::string>& only,
                                                const CancelToken& cancel);

struct SourceTable {
  DumpTable table;           // names in UTF-8
  std::string schema, name;  // as the database has them
  bool is_of_extension = false;
};
// Tables whose rows pg_dump takes, with their rows of now; of tables of extensions those rows that belong to the user.
Result<std::vector<SourceTable>> TablesOf(Connection* connection, const CancelToken& cancel);
Result<std::uint64_t> LargeObjectsOf(Connection* connection, const CancelToken& cancel);
Result<Connection> ConnectToDatabase(const DumpServer& server, const std::string& database);

}  // namespace pitr::tool
