// pitr_attach_schema and pitr_detach_schema: tables of the past as foreign tables of a schema. All but the foreign server and its user mapping
// (past_server.h) is made and dropped by statements of the caller.
#include <libpq-fe.h>

#include <optional>
#include <vector>

#include "core/base/json.h"
#include "pg/attachment.h"
#include "pg/boundary.h"
#include "pg/local_sql.h"
#include "pg/look_entry.h"
#include "pg/past_server.h"
#include "pg/row_builder.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "catalog/namespace.h"
#include "tcop/utility.h"
}

namespace pitr::pg {

namespace {

// What is there now. $1: name of the schema.
constexpr char kState[] =
    "SELECT pg_catalog.jsonb_build_object("
    " 'may_create', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
    " 'wrapper', EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper"
    "   WHERE fdwname = 'postgres_fdw'),"
    " 'exists', n.oid IS NOT NULL, 'attached', s.oid IS NOT NULL,"
    " 'owned', coalesce(pg_catalog.pg_has_role(n.nspowner, 'USAGE'), false),"
    " 'create', pg_catalog.format('CREATE SCHEMA %I', $1),"
    " 'drop_tables', (SELECT 'DROP FOREIGN TABLE ' ||"
    "   pg_catalog.string_agg(pg_catalog.format('%I.%I', $1, c.relname), ', ')"
    "   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = c.oid"
    "   WHERE c.relnamespace = n.oid AND f.ftserver = s.oid),"
    " 'drop', pg_catalog.format('DROP SCHEMA %I', $1))"
    " FROM (SELECT $1) a LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1"
    " LEFT JOIN pg_catalog.pg_foreign_server s"
    "   ON s.srvname = 'pitr_past_' || n.oid AND s.srvowner = 10";

// What was there then. $1: name of the schema. Partitions are part of a table, unless they are asked for; our own views tell nothing in a look.
constexpr char kSchemaThen[] =
    "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1";
constexpr char kRelationsThen[] =
    "SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.relname,"
    " 'is_partition', c.relispartition, 'is_foreign', c.relkind = 'f',"
    " 'is_readable', has_table_privilege(c.oid, 'SELECT')"
    "   OR has_any_column_privilege(c.oid, 'SELECT'),"
    " 'columns', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.attname,"
    "     'type', format_type(a.atttypid, a.atttypmod),"
    "     'collation', (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co"
    "       JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation))"
    "     ORDER BY a.attnum), '[]')"
    "   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))),"
    " '[]') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'f', 'p')"
    " AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid"
    "   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'"
    "   AND e.extname = 'pitr_ext')";

// Which of them can be had. $1: the answer above, $2: an array of those that are wanted or null, $3 to $5: names of the schema then, the foreign server and the
// schema now.
constexpr char kChoose[] =
    "WITH limits AS (SELECT CASE WHEN $2 <> 'null' THEN"
    "   ARRAY(SELECT pg_catalog.jsonb_array_elements_text($2::pg_catalog.jsonb)) END AS names),"
    " past AS (SELECT * FROM pg_catalog.jsonb_to_recordset($1::pg_catalog.jsonb)"
    "   AS t(name text, is_partition boolean, is_foreign boolean, is_readable boolean, columns "
    "pg_catalog.jsonb)),"
    " wanted AS (SELECT name, CASE WHEN NOT is_readable THEN 'permission denied'"
    "   WHEN is_foreign THEN 'foreign table: its rows are those of elsewhere now'"
    "   ELSE (SELECT CASE"
    "       WHEN pg_catalog.to_regtype(c.type) IS NULL"
    "       THEN pg_catalog.format('column %I: type %s does not exist', c.name, c.type)"
    "       WHEN NOT pg_catalog.has_type_privilege(pg_catalog.to_regtype(c.type), 'USAGE')"
    "       THEN pg_catalog.format('column %I: permission denied for type %s', c.name, c.type)"
    "       WHEN pg_catalog.to_regcollation(coalesce(c.\"collation\", 'pg_catalog.\"C\"'))"
    "         IS NULL"
    "       THEN pg_catalog.format('column %I: collation %s does not exist', c.name,"
    "         c.\"collation\") END AS why"
    "     FROM pg_catalog.jsonb_to_recordset(columns)"
    "       AS c(name text, type text, \"collation\" text)"
    "     ORDER BY 1 LIMIT 1) END AS skipped"
    "   FROM past, limits"
    "   WHERE CASE WHEN names IS NULL THEN NOT is_partition ELSE name = ANY (names) END)"
    " SELECT pg_catalog.jsonb_build_object("
    " 'absent', (SELECT pg_catalog.min(w) FROM limits, pg_catalog.unnest(names) AS w"
    "   WHERE w NOT IN (SELECT name FROM past)),"
    " 'relations', (SELECT coalesce(pg_catalog.jsonb_agg("
    "     pg_catalog.jsonb_build_object('name', name, 'skipped', skipped) ORDER BY name), '[]')"
    "   FROM wanted),"
    " 'import', (SELECT pg_catalog.format('IMPORT FOREIGN SCHEMA %I LIMIT TO (%s) FROM SERVER %I"
    " INTO %I OPTIONS (import_generated ''false'')', $3,"
    "     pg_catalog.string_agg(pg_catalog.quote_ident(name), ', '), $4, $5)"
    "   FROM wanted WHERE skipped IS NULL HAVING pg_catalog.count(*) > 0))";

// A question to this database whose answer is one JSON value. THROWS ErrorInFlight, as all here.
Result<Json> Ask(const char* question, const std::vector<std::string>& values) {
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> answer, AskLocally(question, values));
  return ParseJson(Utf8OfServer(answer.value_or("")), "answer");
}

Status Execute(const Json& statement) {
  return RunLocally(ServerOfUtf8(statement.get<std::string>())).status();
}

struct Arguments {
  std::string point;  // UTF-8, the others as the database has them
  std::string schema, remote;
  Json relations;  // null: all
  std::string role, database;
};

Status CheckName(const std::string& name) {
  if (name.size() < NAMEDATALEN) return Status::Ok();
  return Status(Code::kNameTooLong,
                "the name of a schema has at most " + std::to_string(NAMEDATALEN - 1) + " bytes");
}

Result<Arguments> ReadArguments(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1) || IsNull(fcinfo, 2))
    return Status(Code::kInvalidArgument, "point, schema and remote_schema must not be null");
  Arguments arguments;
  arguments.point = TextArg(fcinfo, 0);
  arguments.schema = ServerTextArg(fcinfo, 1);
  arguments.remote = ServerTextArg(fcinfo, 2);
  PITR_RETURN_IF_ERROR(CheckName(arguments.schema));
  if (!IsNull(fcinfo, 3)) arguments.relations = TextArrayArg(fcinfo, 3);
  arguments.role = CallingRole();
  arguments.database = CallingDatabase();
  return arguments;
}

Result<Json> StateOf(const std::string& schema) { return Ask(kState, {schema}); }

// Whatever would be in vain is said before a look is made.
Status CheckState(const Json& state, const Arguments& arguments) {
  Call([] {
    PreventCommandIfReadOnly("pitr_attach_schema()");
    PreventCommandDuringRecovery("pitr_attach_schema()");
  });
  if (!state["wrapper"].get<bool>()) {
    return Status(Code::kNotReady, "the extension postgres_fdw is not in this database")
        .WithHint("A superuser can CREATE EXTENSION postgres_fdw.");
  }
  if (!state["may_create"].get<bool>())
    RaiseAs("42501", "permission denied for database " + arguments.database, nullptr);
  if (!state["exists"].get<bool>()) return Status::Ok();
  if (!state["attached"].get<bool>()) {
    RaiseAs("42P06", "schema \"" + arguments.schema + "\" already exists",
            "Give a name that is free as the second argument.");
  }
  if (!state["owned"].get<bool>())
    RaiseAs("42501", "must be owner of schema " + arguments.schema, nullptr);
  return Status::Ok();
}

// What hangs on its tables, or was put into the schema, is told and stays.
Status Detach(const Json& state) {
  if (!state["drop_tables"].is_null()) PITR_RETURN_IF_ERROR(Execute(state["drop_tables"]));
  return Execute(state["drop"]);
}

// The relations of then, as JSON in the encoding of the database.
Result<std::string> RelationsThen(LookClient* client, const Arguments& arguments) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr schema, client->Query(kSchemaThen, {arguments.remote}));
  if (PQntuples(schema.get()) == 0)
    RaiseAs("3F000", "schema \"" + arguments.remote + "\" did not exist at that point", nullptr);
  if (*PQgetvalue(schema.get(), 0, 0) != 't')
    RaiseAs("42501", "permission denied for schema " + arguments.remote + " at that point",
            nullptr);
  PITR_ASSIGN_OR_RETURN(const ResultPtr found, client->Query(kRelationsThen, {arguments.remote}));
  return std::string(PQgetvalue(found.get(), 0, 0));
}

Result<Json> Choose(const Arguments& arguments, const std::string& then,
                    const std::string& server) {
  PITR_ASSIGN_OR_RETURN(Json chosen,
                        Ask(kChoose, {then, ServerOfUtf8(DumpJson(arguments.relations)),
                                      arguments.remote, server, arguments.schema}));
  if (!chosen["absent"].is_null()) {
    RaiseAs("42P01",
            "relation \"" + arguments.remote + "." +
                ServerOfUtf8(chosen["absent"].get<std::string>()) +
                "\" did not exist at that point",
            "Name relations without their schema, as they were called then.");
  }
  return chosen;
}

Result<Json> MakeSchema(const Arguments& arguments, const Json& state, const EnteredLook& look) {
  PITR_ASSIGN_OR_RETURN(const std::string then, RelationsThen(look.client.get(), arguments));
  if (state["attached"].get<bool>()) PITR_RETURN_IF_ERROR(Detach(state));
  PITR_RETURN_IF_ERROR(Execute(state["create"]));
  PastServerSpec spec;
  spec.schema = Call([&] { return get_namespace_oid(arguments.schema.c_str(), false); });
  spec.name = PastServerName(spec.schema);
  spec.host = PastHost(spec.schema);
  spec.port = look.held.look.port;
  spec.point = PointOfLook(look.held.look);
  spec.database = arguments.database;
  spec.role = arguments.role;
  PITR_ASSIGN_OR_RETURN(const Json chosen, Choose(arguments, then, spec.name));
  MakePastServer(spec);
  PITR_RETURN_IF_ERROR(AttachToLook(spec.schema, look.held.look));
  if (!chosen["import"].is_null()) PITR_RETURN_IF_ERROR(Execute(chosen["import"]));
  return chosen["relations"];
}

Status NoteDone(const char* function, const std::string& arguments) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  return AuditDone(session.repo.get(), session.self().name, function, arguments);
}

Result<Datum> Attach(FunctionCallInfo fcinfo, const std::string& described) {
  PITR_ASSIGN_OR_RETURN(const Arguments arguments, ReadArguments(fcinfo));
  PITR_ASSIGN_OR_RETURN(const Json state, StateOf(arguments.schema));
  PITR_RETURN_IF_ERROR(CheckState(state, arguments));
  PITR_ASSIGN_OR_RETURN(const EnteredLook look,
                        EnterLook(arguments.point, arguments.role, arguments.database));
  RowBuilder rows(fcinfo);
  const std::string schema = Utf8OfServer(arguments.schema);
  PITR_ASSIGN_OR_RETURN(const Json relations, MakeSchema(arguments, state, look));
  for (const Json& relation : relations) {
    rows.Text(schema).Text(relation["name"].get<std::string>());
    PITR_ASSIGN_OR_RETURN(const std::optional<std::string> skipped,
                          JsonOptionalText(relation, "skipped"));
    rows.TextOrNull(skipped).EndRow();
  }
  PITR_RETURN_IF_ERROR(NoteDone("pitr_attach_schema", described));
  return rows.Finish();
}

Result<Datum> DetachNamed(const std::string& schema_utf8) {
  const std::string schema = ServerOfUtf8(schema_utf8);
  PITR_ASSIGN_OR_RETURN(const Json state, StateOf(schema));
  if (!state["exists"].get<bool>()) return BoolGetDatum(false);
  if (!state["attached"].get<bool>()) {
    return Status(Code::kNotReady,
                  "schema \"" + schema_utf8 + "\" is not attached to a point of the past")
        .WithHint("DROP SCHEMA removes an ordinary one.");
  }
  if (!state["owned"].get<bool>()) RaiseAs("42501", "must be owner of schema " + schema, nullptr);
  PITR_RETURN_IF_ERROR(Detach(state));
  PITR_RETURN_IF_ERROR(NoteDone("pitr_detach_schema", Quoted(schema_utf8)));
  return BoolGetDatum(true);
}

// For audit rows.
std::string Described(FunctionCallInfo fcinfo) {
  std::string text;
  for (int i = 0; i < 3; i++) {
    const std::optional<std::string> value = OptionalTextArg(fcinfo, i);
    text += (i == 0 ? "" : ", ") + (value ? Quoted(*value) : std::string("NULL"));
  }
  return text;
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_attach_schema) {
  const std::string described = pitr::pg::Described(fcinfo);
  return pitr::pg::Audited("pitr_attach_schema", described,
                           [&] { return pitr::pg::Attach(fcinfo, described); });
}
PITR_FUNCTION(pitr_detach_schema) {
  return pitr::pg::AuditedByName(fcinfo, "pitr_detach_schema", "schema", pitr::pg::DetachNamed);
}
