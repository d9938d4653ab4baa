#include "tool/recover_live.h"

#include <chrono>
#include <thread>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/work/recovered_database.h"
#include "tool/job.h"
#include "tool/job_fields.h"

namespace pitr::tool {

namespace {

constexpr int kTries = 100;
constexpr std::chrono::milliseconds kPause(100);

// One that is being made would be there behind us: whoever makes it may be gone, his session goes on to the end of its command.
Status EndMaking(Connection* connection) {
  for (int i = 0; i < kTries; i++) {
    PITR_ASSIGN_OR_RETURN(const std::vector<Row> ended,
                          connection->Query(MakersQuery(), NoCancel()));
    if (ended.empty()) return Status::Ok();
    std::this_thread::sleep_for(kPause);
  }
  return Status(Code::kInUse, "a database that is not finished is still being made");
}

}  // namespace

Result<ServerPlace> ParseServerPlace(const Json& job, const char* member) {
  const Json* json = JsonObject(job, member);
  if (json == nullptr)
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is missing");
  ServerPlace server;
  PITR_ASSIGN_OR_RETURN(server.host, JsonText(*json, "host"));
  PITR_ASSIGN_OR_RETURN(server.port, JsonNumber<int>(*json, "port"));
  PITR_ASSIGN_OR_RETURN(const auto user, JsonOptionalText(*json, "user"));
  server.user = user.value_or("");
  return server;
}

Result<Connection> OpenLive(const ServerPlace& live) {
  Result<Connection> opened =
      Connection::Open({live.host, live.port, {live.user}, {"postgres", "template1"}});
  if (opened.ok()) return opened;
  return Status(Code::kNotReady,
                "this server does not let its own user in as \"" + live.user + "\"")
      .WithDetail(opened.status().message())
      .WithHint("pg_hba.conf must let it in over the socket without a password, as \"local all " +
                live.user + " peer\" does, or its password file (.pgpass) must have one.");
}

Status RemoveUnfinished(const ServerPlace& live, Json* databases, Json* roles) {
  const NoCancel to_the_end;
  PITR_ASSIGN_OR_RETURN(Connection connection, OpenLive(live));
  PITR_RETURN_IF_ERROR(EndMaking(&connection));
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> left,
                        connection.Query(LeftDatabasesQuery(), to_the_end));
  for (const Row& row : left) {
    const std::string name = row.at(0).value_or("");
    if (!IsUnfinishedDatabase(name)) continue;
    PITR_ASSIGN_OR_RETURN(const std::string database, connection.Identifier(name));
    PITR_RETURN_IF_ERROR(
        connection.Run("DROP DATABASE IF EXISTS " + database + " WITH (FORCE)", to_the_end));
    databases->push_back(name);
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> left_roles,
                        connection.Query(LeftRolesQuery(), to_the_end));
  for (const Row& row : left_roles) {
    const std::string name = row.at(0).value_or("");
    PITR_ASSIGN_OR_RETURN(const std::string role, connection.Identifier(name));
    PITR_ASSIGN_OR_RETURN(const std::optional<SqlError> error,
                          connection.Try("DROP ROLE IF EXISTS " + role, to_the_end));
    // Somebody uses it meanwhile, so it is not for this any more.
    if (error)
      PITR_RETURN_IF_ERROR(connection.Run("COMMENT ON ROLE " + role + " IS NULL", to_the_end));
    roles->push_back(name);
  }
  return Status::Ok();
}

Result<Json> RunRecoverTidyJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const ServerPlace live, ParseServerPlace(job, "live"));
  PITR_ASSIGN_OR_RETURN(const std::string marker, JsonText(job, "marker"));
  context->output->Phase("tidy");
  Json last;
  Json databases = Json::array(), roles = Json::array();
  PITR_RETURN_IF_ERROR(RemoveUnfinished(live, &databases, &roles));
  PITR_RETURN_IF_ERROR(RemoveFile(marker));
  last["done"]["databases"] = databases;
  last["done"]["roles"] = roles;
  return last;
}

}  // namespace pitr::tool
