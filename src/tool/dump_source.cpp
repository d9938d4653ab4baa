#include "tool/dump_source.h"

#include <cstdlib>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tool/job_fields.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

std::string Text(const Row& row, std::size_t column) { return row.at(column).value_or(""); }
std::uint64_t Number(const Row& row, std::size_t column) {
  return std::strtoull(Text(row, column).c_str(), nullptr, 10);
}

std::string Member(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Columns of pg_database have other names in other majors.
constexpr char kDatabases[] =
    "SELECT datname, pg_encoding_to_char(encoding), to_jsonb(d), pg_database_size(oid)"
    " FROM pg_database d WHERE datallowconn AND datname <> 'template1' ORDER BY 1";

// Rows of extensions are theirs but for what the extension says (pg_extension_config_dump), as for pg_dump.
constexpr char kTables[] =
    "SELECT n.nspname, c.relname, format('SELECT count(*) FROM ONLY %I.%I %s', n.nspname,"
    " c.relname, x.condition), d.objid IS NOT NULL"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    " AND d.objsubid = 0 AND d.deptype = 'e'"
    " LEFT JOIN LATERAL (SELECT e.extcondition[array_position(e.extconfig, c.oid)]"
    " FROM pg_extension e WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig)) x(condition)"
    " ON true"
    " WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_'"
    " AND n.nspname <> 'information_schema' AND (d.objid IS NULL OR x.condition IS NOT NULL)"
    " ORDER BY c.oid";

Status SetEncoding(Connection* connection, const char* encoding, const CancelToken& cancel) {
  return connection->Run(
      std::string("SELECT set_config('client_encoding', ") + encoding + ", false)", cancel);
}

}  // namespace

Result<DumpServer> DumpServerOf(const Json& job) {
  DumpServer server;
  PITR_ASSIGN_OR_RETURN(server.bin_directory, JsonText(job, "bin_directory"));
  PITR_ASSIGN_OR_RETURN(server.host, JsonText(job, "host"));
  PITR_ASSIGN_OR_RETURN(server.port, JsonNumber<int>(job, "port"));
  PITR_ASSIGN_OR_RETURN(server.user, JsonText(job, "user"));
  return server;
}

std::string DumpProgram(const DumpServer& server, const char* name) {
  return JoinPath(server.bin_directory, name);
}

std::string ConnectionOf(const DumpServer& server, const std::string& database) {
  return ConnectionString(server.host, server.port, server.user, database);
}

std::vector<std::string> DumpEnvironment() {
  return ServerEnvironment({{"LC_ALL", "C"},
                            {"PGOPTIONS",
                             "-c statement_timeout=0 -c lock_timeout=0"
                             " -c idle_in_transaction_session_timeout=0 -c role=none"
                             " -c session_preload_libraries= -c local_preload_libraries="
                             " -c client_min_messages=warning"}});
}

Result<Connection> ConnectToDatabase(const DumpServer& server, const std::string& database) {
  return Connection::Open({server.host, server.port, {server.user}, {database}});
}

Result<std::vector<SourceDatabase>> DatabasesOf(const DumpServer& server,
                                                const std::optional<std::string>& only,
                                                const CancelToken& cancel) {
  std::vector<std::string> doors = {"postgres", "template1"};
  if (only) doors.insert(doors.begin(), *only);
  PITR_ASSIGN_OR_RETURN(Connection connection,
                        Connection::Open({server.host, server.port, {server.user}, doors}));
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> rows, connection.Query(kDatabases, cancel));
  std::vector<SourceDatabase> found;
  for (const Row& row : rows) {
    if (only && Text(row, 0) != *only) continue;
    PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(Text(row, 2), "row of pg_database"));
    SourceDatabase source;
    source.on_disk = Number(row, 3);
    DumpDatabase& database = source.database;
    database.name = Text(row, 0);
    database.encoding = Text(row, 1);
    database.collate = Member(json, "datcollate");
    database.ctype = Member(json, "datctype");
    database.provider = Member(json, "datlocprovider");
    database.locale = Member(json, json.contains("datlocale") ? "datlocale" : "daticulocale");
    database.icu_rules = Member(json, "daticurules");
    found.push_back(std::move(source));
  }
  if (!found.empty()) return found;
  return Status(Code::kNotFound,
                "database \"" + only.value_or("") + "\" does not exist at that point");
}

Result<std::vector<SourceTable>> TablesOf(Connection* connection, const CancelToken& cancel) {
  PITR_RETURN_IF_ERROR(SetEncoding(connection, "'UTF8'", cancel));
  Result<std::vector<Row>> shown = connection->Query(kTables, cancel);
  // What pg_dump writes is in the encoding of the database.
  PITR_RETURN_IF_ERROR(SetEncoding(connection, "current_setting('server_encoding')", cancel));
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> rows, connection->Query(kTables, cancel));
  // A database without an encoding may have names that are no UTF-8.
  if (shown.status().code() == Code::kInternal) shown = rows;
  PITR_RETURN_IF_ERROR(shown.status());
  std::vector<SourceTable> tables;
  for (std::size_t i = 0; i < rows.size(); i++) {
    PITR_ASSIGN_OR_RETURN(const std::vector<Row> count,
                          connection->Query(Text(rows[i], 2), cancel));
    SourceTable table;
    table.table = {Text(shown->at(i), 0), Text(shown->at(i), 1), Number(count.at(0), 0)};
    table.schema = Text(rows[i], 0);
    table.name = Text(rows[i], 1);
    table.is_of_extension = Text(rows[i], 3) == "t";
    tables.push_back(std::move(table));
  }
  return tables;
}

Result<std::uint64_t> LargeObjectsOf(Connection* connection, const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> rows,
                        connection->Query("SELECT count(*) FROM pg_largeobject_metadata", cancel));
  return Number(rows.at(0), 0);
}

}  // namespace pitr::tool
