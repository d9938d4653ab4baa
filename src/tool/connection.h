// libpq, for servers that we started ourselves: a connection through a private socket directory as a superuser.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/result.h"

struct pg_conn;

namespace pitr::tool {

struct ConnectTo {
  std::string socket_directory;
  int port = 5432;
  // Names of roles and databases of today need not exist in the past: the first pair that works is taken.
  std::vector<std::string> users, databases;
  // For what somebody else wrote: whoever it is, with the search path of role and database, and without their notices in our log.
  bool for_script = false;
};

// How a command failed, in the server's words.
struct SqlError {
  std::string sqlstate, message;
  int position = 0;  // of the character in the command, from 1; 0: not known
};

// Names that the bootstrap superuser may have had then: today's, the one of initdb by default, the distribution's.
std::vector<std::string> SuperuserCandidates(const std::string& today);

using Row = std::vector<std::optional<std::string>>;

// For programs of PostgreSQL. Any text may be a user or a database.
std::string ConnectionString(const std::string& sockets, int port, const std::string& user,
                             const std::string& database);

class Connection {
 public:
  // kUnavailable with the server's words while it does not (yet) accept; kNotReady when it answers, but none of the roles is
  // a superuser that can connect.
  static Result<Connection> Open(const ConnectTo& to);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  ~Connection();

  // Rows of one command; kUnavailable when the connection was lost, kCancelled, else kInternal with the server's message,
  // which never repeats the command (it may hold a verifier).
  Result<std::vector<Row>> Query(const std::string& command, const CancelToken& cancel);
  Status Run(const std::string& command, const CancelToken& cancel);
  // One command of a script. Nothing = done; kUnavailable, kCancelled.
  Result<std::optional<SqlError>> Try(const std::string& command, const CancelToken& cancel);
  bool IsInTransaction() const;
  Result<std::string> Identifier(const std::string& name) const;
  Result<std::string> Literal(const std::string& text) const;

 private:
  explicit Connection(pg_conn* conn) : conn_(conn) {}
  pg_conn* conn_;
};

}  // namespace pitr::tool
