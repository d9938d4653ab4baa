// pitr_recover_table: a table of the past, or its rows, in the present. All of it is done in the calling statement's transaction, as whoever calls.
#include <algorithm>
#include <cstdlib>

#include "core/base/fault.h"
#include "pg/boundary.h"
#include "pg/foreign_keys.h"
#include "pg/local_sql.h"
#include "pg/look_copy.h"
#include "pg/look_entry.h"
#include "pg/past_table.h"
#include "pg/row_builder.h"
#include "pg/session.h"
#include "pg/table_maker.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "commands/defrem.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
}

namespace pitr::pg {

namespace {

constexpr std::size_t kShownViolations = 10;

struct Request {
  std::string at, mode;            // UTF-8; the others as the database has them
  std::string relation, database;  // of then
  std::optional<std::string> into_table;
};

struct Recovered {
  std::string relation;
  std::uint64_t found = 0, written = 0;
};

// A table of today that rows come into.
struct Target {
  Oid oid = InvalidOid, owner = InvalidOid;
  std::string quoted;
  bool is_owners = false, is_partitioned = false, is_system = false;
};

Result<Request> ReadRequest(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1))
    return Status(Code::kInvalidArgument, "relation and at must not be null");
  Request request;
  request.relation = ServerTextArg(fcinfo, 0);
  request.at = TextArg(fcinfo, 1);
  if (!IsNull(fcinfo, 2)) request.into_table = ServerTextArg(fcinfo, 2);
  request.mode = OptionalTextArg(fcinfo, 3).value_or("beside");
  request.database = IsNull(fcinfo, 4) ? CallingDatabase() : ServerTextArg(fcinfo, 4);
  if (request.mode != "beside" && request.mode != "missing" && request.mode != "replace") {
    return Status(Code::kInvalidArgument,
                  "mode must be 'beside', 'missing' or 'replace', not " + Quoted(request.mode));
  }
  if (!IsNull(fcinfo, 5) && !BoolArg(fcinfo, 5)) {
    return Status(Code::kUnsupported, "wait => false is not possible here")
        .WithHint("A table is brought back in the transaction that asks for it.");
  }
  return request;
}

std::string Identifier(const std::string& name) {
  const char* quoted = Call([&] { return quote_identifier(name.c_str()); });
  return quoted;
}

// Both sessions write and read values alike. What we name has its schema; the caller's temporary tables stand in for nothing of the catalogue's.
void SetUp(LocalSettings* settings, bool filters_rows) {
  settings->Set("search_path", "pg_catalog, pg_temp");
  settings->Set("DateStyle", "ISO");
  settings->Set("IntervalStyle", "postgres");
  settings->Set("xmloption", "content");
  settings->Set("standard_conforming_strings", "on");
  settings->Set("default_tablespace", "");
  if (!filters_rows) settings->Set("row_security", "off");
}

Result<NewTable> Place(const Request& request, const PastTable& past) {
  if (!request.into_table) {
    const char* name =
        Call([&] { return makeObjectName(past.name.c_str(), nullptr, "recovered"); });
    return NewTable{past.schema, name};
  }
  PITR_ASSIGN_OR_RETURN(
      const LocalResult parts,
      RunLocally("SELECT p[1], p[2], array_length(p, 1) FROM parse_ident($1) AS p",
                 {*request.into_table}));
  const LocalRow& row = parts.rows.at(0);
  if (row[2] == "1") return NewTable{past.schema, row[0].value_or("")};
  if (row[2] == "2") return NewTable{row[0].value_or(""), row[1].value_or("")};
  return Status(Code::kInvalidName, "into_table must be a name, or schema.name")
      .WithHint("It is made in the database that you are connected to.");
}

Result<Recovered> Beside(const Request& request, LookClient* client, const PastTable& past) {
  PITR_ASSIGN_OR_RETURN(NewTable place, Place(request, past));
  TableMaker maker(client, past, std::move(place));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t rows, maker.Make());
  if (!past.left_out.empty()) {
    QuietLog(NOTICE, ("not brought back: " + Utf8OfServer(past.left_out)).c_str(), nullptr,
             nullptr);
  }
  return Recovered{maker.quoted(), rows, rows};
}

// Found with the caller's search path.
Result<Target> FindTarget(const std::string& name) {
  PITR_ASSIGN_OR_RETURN(
      const LocalResult found,
      RunLocally(
          "SELECT c.oid::pg_catalog.text, c.relowner::pg_catalog.text, pg_catalog.format('%I.%I', "
          "n.nspname, c.relname),"
          " pg_catalog.pg_has_role(c.relowner, 'USAGE'), c.relkind OPERATOR(pg_catalog.=) 'p',"
          " c.oid OPERATOR(pg_catalog.<) 16384, c.relkind OPERATOR(pg_catalog.=) ANY "
          "('{r,p}'::pg_catalog.\"char\"[])"
          " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid "
          "OPERATOR(pg_catalog.=) c.relnamespace"
          " WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)",
          {name}));
  if (found.rows.empty()) {
    RaiseAs("42P01", "relation \"" + name + "\" does not exist",
            "mode => 'beside' makes a table; into_table names another one for its rows.");
  }
  const LocalRow& row = found.rows[0];
  if (row[6] != "t") RaiseAs("42809", "\"" + name + "\" is not a table", nullptr);
  const auto oid = [&](std::size_t column) {
    return static_cast<Oid>(std::strtoul(row[column].value_or("").c_str(), nullptr, 10));
  };
  return Target{oid(0), oid(1), row[2].value_or(""), row[3] == "t", row[4] == "t", row[5] == "t"};
}

// What both have, and neither computes.
Result<RowsThere> CommonRows(LookClient* client, const PastTable& past, const Target& target) {
  PITR_ASSIGN_OR_RETURN(
      const LocalResult now,
      RunLocally("SELECT attname FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0"
                 " AND NOT attisdropped AND attgenerated = ''",
                 {std::to_string(target.oid)}));
  RowsThere rows{client, {}, {}};
  std::vector<std::string> quoted;
  std::string lost;
  for (const PastColumn& column : past.columns) {
    if (column.is_generated) continue;
    const bool is_there = std::any_of(now.rows.begin(), now.rows.end(), [&](const LocalRow& row) {
      return row[0].value_or("") == column.name;
    });
    if (is_there) {
      rows.columns.push_back(column.name);
      quoted.push_back(Identifier(column.name));
    } else {
      lost += (lost.empty() ? "" : ", ") + column.name;
    }
  }
  if (quoted.empty()) {
    RaiseAs("42804", "table " + target.quoted + " has no column that it had at that point",
            "mode => 'beside' makes a table with the columns of then.");
  }
  if (!lost.empty()) {
    QuietLog(NOTICE, ("columns that are no more are left out: " + Utf8OfServer(lost)).c_str(),
             nullptr, nullptr);
  }
  rows.command = CopyCommand(past, quoted);
  return rows;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names)
    list += (list.empty() ? "" : ", ") + Identifier(name);
  return list;
}

// The primary key of a table of today.
struct Key {
  std::string columns;  // quoted
  std::string is_same;  // of rows t and s
};

Result<Key> KeyOf(const Target& target, const std::vector<std::string>& columns) {
  PITR_ASSIGN_OR_RETURN(
      const LocalResult found,
      RunLocally(
          "SELECT a.attname, format('t.%I OPERATOR(%I.%s) s.%I', a.attname, m.nspname, p.oprname, "
          "a.attname)"
          " FROM pg_index i, generate_series(0, i.indnkeyatts - 1) AS at(n), pg_attribute a, "
          "pg_opclass o,"
          " pg_amop f, pg_operator p, pg_namespace m WHERE i.indrelid = $1::oid AND i.indisprimary"
          " AND a.attrelid = i.indrelid AND a.attnum = i.indkey[at.n] AND o.oid = i.indclass[at.n]"
          " AND f.amopfamily = o.opcfamily AND f.amoplefttype = o.opcintype AND f.amoprighttype = "
          "o.opcintype"
          " AND f.amopstrategy = 3 AND f.amopmethod = o.opcmethod AND p.oid = f.amopopr AND m.oid "
          "= p.oprnamespace",
          {std::to_string(target.oid)}));
  std::vector<std::string> names;
  Key key;
  for (const LocalRow& row : found.rows) {
    names.push_back(row[0].value_or(""));
    key.is_same += (key.is_same.empty() ? "" : " AND ") + row[1].value_or("");
    if (std::find(columns.begin(), columns.end(), names.back()) == columns.end()) {
      RaiseAs("42P10",
              "rows of then have no column \"" + names.back() +
                  "\", which is in the primary key of " + target.quoted,
              nullptr);
    }
  }
  if (names.empty()) {
    RaiseAs("42P10", "table " + target.quoted + " has no primary key",
            "What is missing is told by it; mode => 'beside' brings all rows.");
  }
  key.columns = Joined(names);
  return key;
}

// An INSERT of the caller's like any other, with its rights, triggers, policies and settings.
Result<Recovered> Missing(const PastTable& past, const Target& target, const RowsThere& rows,
                          LocalSettings* settings) {
  PITR_ASSIGN_OR_RETURN(const Key key, KeyOf(target, rows.columns));
  const std::string columns = Joined(rows.columns);
  PITR_RETURN_IF_ERROR(
      RunLocally("CREATE TEMPORARY TABLE pitr_recovered_rows ON COMMIT DROP AS SELECT " + columns +
                 " FROM " + target.quoted + " WITH NO DATA")
          .status());
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> oid,
                        AskLocally("SELECT 'pg_temp.pitr_recovered_rows'::regclass::oid::text"));
  Recovered recovered{target.quoted};
  PITR_ASSIGN_OR_RETURN(
      recovered.found,
      CopyInto(rows, static_cast<Oid>(std::strtoul(oid.value_or("").c_str(), nullptr, 10))));
  settings->End();
  PITR_ASSIGN_OR_RETURN(
      const LocalResult inserted,
      RunLocally("INSERT INTO " + target.quoted + " (" + columns +
                 ") OVERRIDING SYSTEM VALUE SELECT " + columns +
                 " FROM pg_temp.pitr_recovered_rows s WHERE NOT EXISTS (SELECT FROM " +
                 target.quoted + " t WHERE " + key.is_same + ") ON CONFLICT (" + key.columns +
                 ") DO NOTHING"));
  *settings = LocalSettings();
  SetUp(settings, true);
  recovered.written = inserted.processed;
  PITR_RETURN_IF_ERROR(RunLocally("DROP TABLE pg_temp.pitr_recovered_rows").status());
  PITR_RETURN_IF_ERROR(AdvanceSequences(past, target.oid, target.quoted));
  return recovered;
}

Status CheckReplaceable(const Target& target) {
  if (!target.is_owners)
    return Status(Code::kPermission, "must be owner of table " + Utf8OfServer(target.quoted));
  if (target.is_system)
    return Status(Code::kPermission, Utf8OfServer(target.quoted) + " is a system catalog");
  if (target.is_partitioned) {
    return Status(Code::kUnsupported, "the rows of a partitioned table cannot be replaced")
        .WithHint("Replace those of its partitions, one after the other, or use another mode.");
  }
  if (Call([] { return IsolationUsesXactSnapshot(); })) {
    return Status(Code::kActiveTransaction, "mode 'replace' needs isolation level READ COMMITTED")
        .WithHint("What points at the table is checked as it is when the table is locked.");
  }
  return Status::Ok();
}

Status CheckForeignKeys(const Target& target) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> keys, ForeignKeysAround(target.oid));
  std::vector<std::string> against;
  for (const std::string& key : keys) {
    if (against.size() >= kShownViolations) break;
    PITR_ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                          ViolationsOf(key, kShownViolations - against.size()));
    against.insert(against.end(), lines.begin(), lines.end());
  }
  if (against.empty()) return Status::Ok();
  std::string detail;
  for (const std::string& line : against)
    detail += (detail.empty() ? "" : "\n") + line;
  ForeignError error{};
  const std::string message = "the rows of then do not go with foreign keys of today, table " +
                              target.quoted + " is as it was";
  error.sqlstate = "23503";
  error.message = message.c_str();
  error.detail = detail.c_str();
  error.hint =
      "mode => 'beside' brings them without touching the table, 'missing' those that are gone.";
  Call([&] { RaiseForeign(error); });
  return Status::Ok();
}

// It is still what it was found to be.
Status LockTarget(const Target& target) {
  Call([&] { LockRelationOid(target.oid, AccessExclusiveLock); });
  PITR_ASSIGN_OR_RETURN(
      const std::optional<std::string> is_same,
      AskLocally(
          "SELECT c.relkind = 'r' AND c.relowner = $2::oid AND pg_has_role(c.relowner, 'USAGE')"
          " AND c.oid = to_regclass($3) FROM pg_class c WHERE c.oid = $1::oid",
          {std::to_string(target.oid), std::to_string(target.owner), target.quoted}));
  if (is_same == "t") return Status::Ok();
  return Status(Code::kInUse,
                "table " + Utf8OfServer(target.quoted) + " has just become another one");
}

Result<Recovered> Replace(const PastTable& past, const Target& target, const RowsThere& rows) {
  PITR_RETURN_IF_ERROR(LockTarget(target));
  Recovered recovered{target.quoted};
  PITR_ASSIGN_OR_RETURN(recovered.found, AsRole(target.owner, [&]() -> Result<std::uint64_t> {
                          PITR_ASSIGN_OR_RETURN(const std::uint64_t count,
                                                CopyInPlaceOf(rows, target.oid));
                          PITR_RETURN_IF_ERROR(AdvanceSequences(past, target.oid, target.quoted));
                          return count;
                        }));
  recovered.written = recovered.found;
  PITR_RETURN_IF_ERROR(CheckForeignKeys(target));
  return recovered;
}

Result<Recovered> IntoTarget(const Request& request, LookClient* client, const PastTable& past,
                             const Target& target, LocalSettings* settings) {
  PITR_ASSIGN_OR_RETURN(const RowsThere rows, CommonRows(client, past, target));
  return request.mode == "missing" ? Missing(past, target, rows, settings)
                                   : Replace(past, target, rows);
}

Result<Datum> Recover(FunctionCallInfo fcinfo, const std::string& arguments) {
  PITR_ASSIGN_OR_RETURN(const Request request, ReadRequest(fcinfo));
  Call([] { PreventCommandIfReadOnly("pitr_recover_table()"); });
  Target target;
  if (request.mode != "beside") {
    PITR_ASSIGN_OR_RETURN(target, FindTarget(request.into_table.value_or(request.relation)));
    if (request.mode == "replace") PITR_RETURN_IF_ERROR(CheckReplaceable(target));
  }
  PITR_ASSIGN_OR_RETURN(const EnteredLook look,
                        EnterLook(request.at, CallingRole(), request.database));
  PITR_RETURN_IF_ERROR(TakeOverSettings(look.client.get()));
  PITR_ASSIGN_OR_RETURN(const PastTable past,
                        DescribePastTable(look.client.get(), request.relation));
  LocalSettings settings;
  SetUp(&settings, request.mode == "missing");
  PITR_ASSIGN_OR_RETURN(const Recovered recovered,
                        request.mode == "beside"
                            ? Beside(request, look.client.get(), past)
                            : IntoTarget(request, look.client.get(), past, target, &settings));
  settings.End();
  PITR_FAULT("recover.table_there");
  NoteUseOfLook(look.held.use);
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const OperationId id, NewOperationId(SystemClock().Now().micros / 1000000));
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), session.self().name, "pitr_recover_table", arguments, id));
  RowBuilder rows(fcinfo);
  rows.Text(id).Text("done").Text(Utf8OfServer(recovered.relation));
  rows.Int8(static_cast<std::int64_t>(recovered.found))
      .Int8(static_cast<std::int64_t>(recovered.written))
      .TimeOrNull(look.held.look.commit_time)
      .EndRow();
  return rows.Finish();
}

std::string Written(FunctionCallInfo fcinfo) {
  std::string text;
  for (int i = 0; i < 5; i++) {
    const std::optional<std::string> value = OptionalTextArg(fcinfo, i);
    text += (i == 0 ? "" : ", ") + (value ? Quoted(*value) : "NULL");
  }
  return text;
}

Result<Datum> RecoverTable(FunctionCallInfo fcinfo) {
  const std::string arguments = Written(fcinfo);
  return Audited("pitr_recover_table", arguments, [&] { return Recover(fcinfo, arguments); });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_recover_table) { return pitr::pg::RecoverTable(fcinfo); }
