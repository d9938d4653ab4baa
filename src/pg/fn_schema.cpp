// pitr_schema_of and pitr_schema_diff: schemas at any point, as pg_dump writes them, and how two of them differ. The servers that are asked are looks,
// the head of this branch as well: pg_dump enters them as whoever calls.
#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/child.h"
#include "pg/interrupts.h"
#include "pg/look_entry.h"
#include "pg/look_source.h"
#include "pg/row_builder.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kMaxText = 256U << 20;
// There is always that one, and everybody may look into it.
constexpr char kFirstDatabase[] = "template1";

constexpr char kTables[] =
    "SELECT pg_catalog.jsonb_pretty(pg_catalog.jsonb_build_object('tables', coalesce(jsonb_agg("
    "jsonb_build_object('schema', n.nspname, 'name', c.relname, 'columns',"
    " (SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.attname, 'type',"
    " format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]') FROM pg_attribute a"
    " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))"
    " ORDER BY n.nspname, c.relname), '[]')))"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_'"
    " AND n.nspname <> 'information_schema'";

// One side of a comparison.
struct Side {
  NamedPoint at;
  HeldLook held;
  std::vector<std::string> databases;
};

// Those that the role may enter; all texts in the encoding of this database.
Result<std::vector<std::string>> DatabasesOf(LookClient* client) {
  PITR_ASSIGN_OR_RETURN(
      const ResultPtr found,
      client->Query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
                    " AND has_database_privilege(oid, 'CONNECT') ORDER BY datname"));
  std::vector<std::string> names;
  for (int i = 0; i < PQntuples(found.get()); i++)
    names.emplace_back(PQgetvalue(found.get(), i, 0));
  return names;
}

// With `database` that one alone, which must be there.
Result<Side> Enter(const NamedPoint& at, const std::optional<std::string>& database) {
  Side side;
  side.at = at;
  PITR_ASSIGN_OR_RETURN(EnteredLook look,
                        EnterLook(at.text, CallingRole(), database.value_or(kFirstDatabase)));
  side.held = std::move(look.held);
  if (database) {
    side.databases = {*database};
  } else {
    PITR_ASSIGN_OR_RETURN(side.databases, DatabasesOf(look.client.get()));
  }
  return side;
}

Json SideJson(const Side& side) {
  Json json;
  json["socket_directory"] = side.held.look.socket_directory;
  json["port"] = side.held.look.port;
  json["label"] =
      "Branch: " + side.at.branch + (side.at.point.empty() ? "" : " at ") + side.at.point;
  json["databases"] = Json::array();
  for (const std::string& name : side.databases)
    json["databases"].push_back(Utf8OfServer(name));
  return json;
}

// The databases of the first, then those that only the second has.
Json DatabasesJson(const std::vector<Side>& sides) {
  Json names = Json::array();
  for (const Side& side : sides) {
    for (const std::string& raw : side.databases) {
      const std::string name = Utf8OfServer(raw);
      if (std::find(names.begin(), names.end(), Json(name)) == names.end()) names.push_back(name);
    }
  }
  return names;
}

Status PutTexts(const std::vector<Side>& sides, const std::string& directory, RowBuilder* rows) {
  Json job;
  job["kind"] = "schema_text";
  job["bin_directory"] = BinDirectory();
  job["directory"] = directory;
  job["user"] = Utf8OfServer(CallingRole());
  job["databases"] = DatabasesJson(sides);
  job["sides"] = Json::array();
  for (const Side& side : sides)
    job["sides"].push_back(SideJson(side));
  PITR_ASSIGN_OR_RETURN(const Json last, RunJob(job, [] { return ServerCancel().IsCancelled(); }));
  const Json* done = JsonObject(last, "done");
  const Json* files = done == nullptr ? nullptr : JsonArray(*done, "files");
  if (files == nullptr) return Status(Code::kInternal, "the child process tells no files");
  for (const Json& file : *files) {
    PITR_ASSIGN_OR_RETURN(const std::string name, JsonText(file, "database"));
    PITR_ASSIGN_OR_RETURN(const std::string path, JsonText(file, "file"));
    PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxText));
    rows->Text(name).Text(text).EndRow();
  }
  return Status::Ok();
}

// The texts, beside the first look; gone again however the statement ends.
class Scratch {
 public:
  explicit Scratch(const Look& look)
      : path_(JoinPath(look.folder, "texts-" + std::to_string(::getpid()))) {}
  // What cannot be removed goes with the look.
  ~Scratch() { (void)RemoveTree(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Status PutTextsAndTidy(const std::vector<Side>& sides, RowBuilder* rows) {
  const Scratch scratch(sides[0].held.look);
  PITR_RETURN_IF_ERROR(RemoveTree(scratch.path()));
  PITR_RETURN_IF_ERROR(MakeDirectories(scratch.path()));
  PITR_RETURN_IF_ERROR(PutTexts(sides, scratch.path(), rows));
  for (const Side& side : sides)
    NoteUseOfLook(side.held.use);
  return Status::Ok();
}

Status PutTables(const NamedPoint& at, const std::vector<std::string>& databases,
                 RowBuilder* rows) {
  for (const std::string& database : databases) {
    PITR_ASSIGN_OR_RETURN(const EnteredLook look, EnterLook(at.text, CallingRole(), database));
    PITR_ASSIGN_OR_RETURN(const ResultPtr tables, look.client->Query(kTables));
    rows->Text(Utf8OfServer(database)).Text(Utf8OfServer(PQgetvalue(tables.get(), 0, 0))).EndRow();
    NoteUseOfLook(look.held.use);
  }
  return Status::Ok();
}

std::optional<std::string> DatabaseArg(FunctionCallInfo fcinfo, int index) {
  if (IsNull(fcinfo, index)) return std::nullopt;
  return ServerTextArg(fcinfo, index);
}

Result<Datum> SchemaOf(FunctionCallInfo fcinfo) {
  const std::string source = OptionalTextArg(fcinfo, 0).value_or("^self");
  const std::string format = OptionalTextArg(fcinfo, 1).value_or("sql");
  if (format != "sql" && format != "json") {
    return Status(Code::kInvalidArgument, "format must be 'sql' or 'json', not " + Quoted(format));
  }
  PITR_ASSIGN_OR_RETURN(const NamedPoint at, NamePoint(source, std::nullopt));
  std::vector<Side> sides;
  PITR_ASSIGN_OR_RETURN(Side side, Enter(at, DatabaseArg(fcinfo, 2)));
  RowBuilder rows(fcinfo);
  if (format == "json") {
    PITR_RETURN_IF_ERROR(PutTables(at, side.databases, &rows));
  } else {
    sides.push_back(std::move(side));
    PITR_RETURN_IF_ERROR(PutTextsAndTidy(sides, &rows));
  }
  return rows.Finish();
}

Result<Datum> SchemaDiff(FunctionCallInfo fcinfo) {
  std::string base = OptionalTextArg(fcinfo, 0).value_or("^parent");
  std::string compare = OptionalTextArg(fcinfo, 1).value_or("^self");
  PITR_ASSIGN_OR_RETURN(NamedPoint first, NamePoint(base, std::nullopt));
  PITR_ASSIGN_OR_RETURN(NamedPoint second, NamePoint(compare, first.branch));
  // Whatever the order, the parent is what a branch is compared with.
  if (second.source == "^parent") std::swap(first, second);
  const std::optional<std::string> database = DatabaseArg(fcinfo, 2);
  std::vector<Side> sides;
  for (const NamedPoint& at : {first, second}) {
    PITR_ASSIGN_OR_RETURN(Side side, Enter(at, database));
    sides.push_back(std::move(side));
  }
  RowBuilder rows(fcinfo);
  PITR_RETURN_IF_ERROR(PutTextsAndTidy(sides, &rows));
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_schema_of) { return pitr::pg::SchemaOf(fcinfo); }
PITR_FUNCTION(pitr_schema_diff) { return pitr::pg::SchemaDiff(fcinfo); }
