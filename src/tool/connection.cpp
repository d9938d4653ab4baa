// Settings that a role or database of the past carries (ALTER ROLE … SET …) apply to our sessions too; options given with the
// connection win over them (guc.h, PGC_S_CLIENT above PGC_S_DATABASE_USER), so each one that could hurt is named there.
#include "tool/connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "core/base/ascii.h"

namespace pitr::tool {

namespace {

constexpr char kSessionOptions[] =
    "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed"
    " -c local_preload_libraries= -c statement_timeout=0 -c lock_timeout=0"
    " -c idle_in_transaction_session_timeout=0 -c synchronous_commit=local -c role=none"
    " -c datestyle=iso -c timezone=UTC -c client_encoding=utf8 -c standard_conforming_strings=on";
// What a script shall have as its role and database say, or may not choose.
constexpr char kOwnOptions[] =
    " -c search_path=pg_catalog -c session_preload_libraries= -c log_statement=none"
    " -c log_min_duration_statement=-1 -c log_min_error_statement=panic";

constexpr int kCancelLookMs = 100;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ResultDeleter>;

std::string MessageOf(const pg_conn* conn) {
  const char* const message = PQerrorMessage(conn);
  return std::string(Trimmed(message == nullptr ? "" : message));
}

pg_conn* ConnectOnce(const ConnectTo& to, const std::string& user, const std::string& database) {
  const std::string port = std::to_string(to.port);
  const std::string options = std::string(kSessionOptions) + (to.for_script ? "" : kOwnOptions);
  const char* const names[] = {"host",
                               "port",
                               "user",
                               "dbname",
                               "options",
                               "sslmode",
                               "gssencmode",
                               "connect_timeout",
                               "application_name",
                               nullptr};
  const char* const values[] = {to.socket_directory.c_str(),
                                port.c_str(),
                                user.c_str(),
                                database.c_str(),
                                options.c_str(),
                                "disable",
                                "disable",
                                "10",
                                "pitr",
                                nullptr};
  return PQconnectdbParams(names, values, 0);
}

void DropNotice(void*, const PGresult*) {}

bool IsSuperuser(pg_conn* conn) {
  const char* value = PQparameterStatus(conn, "is_superuser");
  return value != nullptr && std::strcmp(value, "on") == 0;
}

// Waits for the answer of a command that was sent, looking for cancel meanwhile.
Status WaitForAnswer(pg_conn* conn, const CancelToken& cancel) {
  while (PQisBusy(conn) != 0) {
    if (cancel.IsCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    struct pollfd ready {};
    ready.fd = PQsocket(conn);
    ready.events = POLLIN;
    const int answered = ::poll(&ready, 1, kCancelLookMs);
    if (answered > 0 && PQconsumeInput(conn) == 0) {
      return Status(Code::kUnavailable, MessageOf(conn));
    }
  }
  return Status::Ok();
}

std::vector<Row> RowsOf(const PGresult* result) {
  std::vector<Row> rows(static_cast<std::size_t>(PQntuples(result)));
  for (std::size_t at = 0; at < rows.size(); at++) {
    const int row = static_cast<int>(at);
    for (int column = 0; column < PQnfields(result); column++) {
      rows[at].push_back(PQgetisnull(result, row, column) != 0
                             ? std::nullopt
                             : std::optional<std::string>(PQgetvalue(result, row, column)));
    }
  }
  return rows;
}

// One value of a connection string.
std::string Value(const std::string& text) {
  std::string value = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') value += '\\';
    value += c;
  }
  return value + "'";
}

}  // namespace

std::string ConnectionString(const std::string& sockets, int port, const std::string& user,
                             const std::string& database) {
  return "host=" + Value(sockets) + " port=" + std::to_string(port) + " user=" + Value(user) +
         " dbname=" + Value(database);
}

Result<Connection> Connection::Open(const ConnectTo& to) {
  Status last(Code::kUnavailable, "no role to connect as");
  for (const std::string& user : to.users) {
    for (const std::string& database : to.databases) {
      Connection connection(ConnectOnce(to, user, database));
      if (connection.conn_ == nullptr) {
        return Status(Code::kOutOfMemory, "out of memory");
      }
      if (PQstatus(connection.conn_) == CONNECTION_OK &&
          (to.for_script || IsSuperuser(connection.conn_))) {
        if (to.for_script) PQsetNoticeReceiver(connection.conn_, DropNotice, nullptr);
        return connection;
      }
      // 57P03: starting up; then no other name will do better. There is no SQLSTATE in PQerrorMessage, so the words decide.
      const std::string message = MessageOf(connection.conn_);
      if (PQstatus(connection.conn_) == CONNECTION_OK) {
        last = Status(Code::kNotReady, "role \"" + user + "\" is no superuser at that point");
      } else if (message.find("FATAL:  role ") != std::string::npos ||
                 message.find("FATAL:  database ") != std::string::npos) {
        last = Status(Code::kNotReady, message);
      } else {
        return Status(Code::kUnavailable, message);
      }
    }
  }
  return last;
}

Connection::Connection(Connection&& other) noexcept : conn_(std::exchange(other.conn_, nullptr)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(conn_, other.conn_);
  return *this;
}

Connection::~Connection() { PQfinish(conn_); }

Result<std::vector<Row>> Connection::Query(const std::string& command, const CancelToken& cancel) {
  if (PQsendQuery(conn_, command.c_str()) == 0) {
    return Status(Code::kUnavailable, MessageOf(conn_));
  }
  std::vector<Row> rows;
  Status failed;
  for (;;) {
    PITR_RETURN_IF_ERROR(WaitForAnswer(conn_, cancel));
    const PgResult result(PQgetResult(conn_));
    if (result == nullptr) {
      break;
    }
    const ExecStatusType kind = PQresultStatus(result.get());
    if (kind == PGRES_TUPLES_OK) {
      rows = RowsOf(result.get());
    } else if (kind != PGRES_COMMAND_OK) {
      const char* message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
      failed = Status(Code::kInternal, message != nullptr ? message : MessageOf(conn_));
    }
  }
  if (PQstatus(conn_) != CONNECTION_OK) {
    return Status(Code::kUnavailable, failed.ok() ? MessageOf(conn_) : failed.message());
  }
  if (!failed.ok()) {
    return failed;
  }
  return rows;
}

namespace {

std::string FieldOf(const PGresult* result, int field) {
  const char* value = PQresultErrorField(result, field);
  return value == nullptr ? std::string() : std::string(value);
}

// Nothing when the command went well.
std::optional<SqlError> ErrorOf(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
      return std::nullopt;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      return SqlError{"0A000", "COPY from or to the client is not for a script", 0};
    default:
      break;
  }
  const std::string position = FieldOf(result, PG_DIAG_STATEMENT_POSITION);
  return SqlError{FieldOf(result, PG_DIAG_SQLSTATE), FieldOf(result, PG_DIAG_MESSAGE_PRIMARY),
                  std::atoi(position.c_str())};
}

}  // namespace

Result<std::optional<SqlError>> Connection::Try(const std::string& command,
                                                const CancelToken& cancel) {
  if (PQsendQuery(conn_, command.c_str()) == 0) {
    return Status(Code::kUnavailable, MessageOf(conn_));
  }
  std::optional<SqlError> failed;
  for (;;) {
    PITR_RETURN_IF_ERROR(WaitForAnswer(conn_, cancel));
    const PgResult result(PQgetResult(conn_));
    if (result == nullptr) {
      break;
    }
    if (!failed) {
      failed = ErrorOf(result.get());
    }
    // A COPY would go on for ever: the connection is of no use any more.
    if (PQresultStatus(result.get()) == PGRES_COPY_IN ||
        PQresultStatus(result.get()) == PGRES_COPY_OUT ||
        PQresultStatus(result.get()) == PGRES_COPY_BOTH) {
      return failed;
    }
  }
  if (!failed && PQstatus(conn_) != CONNECTION_OK) {
    return Status(Code::kUnavailable, MessageOf(conn_));
  }
  return failed;
}

bool Connection::IsInTransaction() const { return PQtransactionStatus(conn_) != PQTRANS_IDLE; }

Status Connection::Run(const std::string& command, const CancelToken& cancel) {
  return Query(command, cancel).status();
}

Result<std::string> Connection::Identifier(const std::string& name) const {
  char* quoted = PQescapeIdentifier(conn_, name.data(), name.size());
  if (quoted == nullptr) {
    return Status(Code::kInvalidArgument, MessageOf(conn_));
  }
  std::string text(quoted);
  PQfreemem(quoted);
  return text;
}

Result<std::string> Connection::Literal(const std::string& text) const {
  char* quoted = PQescapeLiteral(conn_, text.data(), text.size());
  if (quoted == nullptr) {
    return Status(Code::kInvalidArgument, MessageOf(conn_));
  }
  std::string literal(quoted);
  PQfreemem(quoted);
  return literal;
}

std::vector<std::string> SuperuserCandidates(const std::string& today) {
  std::vector<std::string> names;
  const auto add = [&names](const std::string& name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  };
  add(today);
  const struct passwd* entry = ::getpwuid(::geteuid());
  add(entry == nullptr ? "" : entry->pw_name);
  add("postgres");
  return names;
}

}  // namespace pitr::tool
