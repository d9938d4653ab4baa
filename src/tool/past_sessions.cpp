#include "tool/past_sessions.h"

#include "tool/staging_server.h"

namespace pitr::tool {

std::vector<std::string> EnvironmentOfPrograms() {
  return ServerEnvironment(
      {{"LC_ALL", "C"},
       {"PGOPTIONS",
        "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
        " -c idle_in_transaction_session_timeout=0 -c session_preload_libraries="
        " -c local_preload_libraries= -c role=none -c client_min_messages=warning"
        " -c synchronous_commit=off -c log_statement=none"}});
}

Status RollBackPrepared(const ConnectTo& to, Connection* connection, const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> prepared,
      connection->Query("SELECT gid, database FROM pg_prepared_xacts ORDER BY 2", cancel));
  for (const Row& row : prepared) {
    ConnectTo there = to;
    there.databases = {row.at(1).value_or("")};
    PITR_ASSIGN_OR_RETURN(Connection other, Connection::Open(there));
    PITR_ASSIGN_OR_RETURN(const std::string gid, other.Literal(row.at(0).value_or("")));
    PITR_RETURN_IF_ERROR(other.Run("ROLLBACK PREPARED " + gid, cancel));
  }
  return Status::Ok();
}

}  // namespace pitr::tool
