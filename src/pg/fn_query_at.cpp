// pitr_query_at and pitr_query_json_at: one query on the past, as whoever calls.
//
// The session of the look is the caller's role from its first moment (look_guard.h). Nothing is run in it before that role's rights over the machine
// have been compared with today's: they are the machine's of today, whatever the role was allowed then.
#include <libpq-fe.h>

#include <array>

#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/look_client.h"
#include "pg/look_rows.h"
#include "pg/look_table.h"
#include "pg/operation_slots.h"
#include "pg/row_builder.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
}

namespace pitr::pg {

namespace {

constexpr int kTries = 20;
constexpr long kPauseMs = 100;

struct Query {
  std::string point;  // UTF-8, the others as the database has them
  std::string text, role, database;
};

// In the encoding of the database.
std::string RawArg(FunctionCallInfo fcinfo, int index) {
  const char* found =
      Call([&] { return text_to_cstring(DatumGetTextPP(fcinfo->args[index].value)); });
  return found;
}

Result<Query> ReadArguments(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1))
    return Status(Code::kInvalidArgument, "point and query must not be null");
  Query query;
  query.point = TextArg(fcinfo, 0);
  query.text = RawArg(fcinfo, 1);
  if (IsNull(fcinfo, 2)) {
    const char* name = Call([] { return get_database_name(MyDatabaseId); });
    query.database = name;
  } else {
    query.database = RawArg(fcinfo, 2);
  }
  const char* role = Call([] { return GetUserNameFromId(GetUserId(), false); });
  query.role = role;
  return query;
}

[[noreturn]] void RaiseAs(const char* sqlstate, const std::string& message, const char* hint) {
  ForeignError error{};
  error.sqlstate = sqlstate;
  error.message = message.c_str();
  error.hint = hint;
  Call([&] { RaiseForeign(error); });
  pg_unreachable();
}

// What the session could do to files and programs of this machine, as itself or as a role that it may become; and whether it may do so today.
Status CheckRightsOfMachine(LookClient* client, const std::string& role) {
  PITR_ASSIGN_OR_RETURN(
      const ResultPtr then,
      client->Query("SELECT bool_or(rolsuper), bool_or(rolname = 'pg_read_server_files'),"
                    " bool_or(rolname = 'pg_write_server_files'),"
                    " bool_or(rolname = 'pg_execute_server_program')"
                    " FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')"));
  constexpr std::array<Oid, 3> kRoles = {ROLE_PG_READ_SERVER_FILES, ROLE_PG_WRITE_SERVER_FILES,
                                         ROLE_PG_EXECUTE_SERVER_PROGRAM};
  const bool is_super = Call([] { return superuser(); });
  const auto had = [&](int column) { return *PQgetvalue(then.get(), 0, column) == 't'; };
  bool has_more = had(0) && !is_super;
  for (std::size_t i = 0; i < kRoles.size() && !has_more && !is_super; i++) {
    const Oid right = kRoles[i];
    has_more = had(static_cast<int>(i) + 1) &&
               !Call([&] { return is_member_of_role(GetUserId(), right); });
  }
  if (!has_more) return Status::Ok();
  RaiseAs("42501",
          "role \"" + role +
              "\" had rights over files and programs of the server at that point that "
              "it has no more",
          "Ask as a superuser, or as another role.");
}

// "ISO" and the caller's order of day and month.
std::string DateStyle() {
  const std::string style = SettingValue("DateStyle");
  const std::size_t comma = style.find(',');
  return comma == std::string::npos ? "ISO" : "ISO" + style.substr(comma);
}

// As if the caller's session ran there; values come in forms that every session reads alike.
Status TakeOverSettings(LookClient* client) {
  return client
      ->Query(
          "SELECT set_config('TimeZone', $1, false), set_config('DateStyle', $2, false),"
          " set_config('standard_conforming_strings', $3, false),"
          " set_config('IntervalStyle', 'postgres', false),"
          " set_config('extra_float_digits', '3', false),"
          " set_config('bytea_output', 'hex', false),"
          " set_config('xmloption', 'content', false),"
          " set_config('search_path', $4, false)",
          {SettingValue("TimeZone"), DateStyle(), SettingValue("standard_conforming_strings"),
           SettingValue("search_path")})
      .status();
}

// The statement without what ends it. Only what the server has parsed already comes here.
struct Statement {
  NodeTag kind;
  int begin, size;  // 0: up to the end
};
Statement StatementIn(const std::string& query) {
  return Call([&] {
    const List* statements = raw_parser(query.c_str(), RAW_PARSE_DEFAULT);
    if (statements == NIL) return Statement{T_Invalid, 0, 0};
    const RawStmt* first = linitial_node(RawStmt, statements);
    return Statement{nodeTag(first->stmt), first->stmt_location, first->stmt_len};
  });
}

bool ReturnsRows(NodeTag kind) {
  return kind == T_SelectStmt || kind == T_ExplainStmt || kind == T_VariableShowStmt;
}

// What is no query: writes are told as the server would, by SQLSTATE 25006; the rest has no place here.
[[noreturn]] void RefuseStatement(const std::string& query) {
  struct Found {
    const char* command;
    bool is_write;
  };
  const Found found = Call([&] {
    const List* statements = raw_parser(query.c_str(), RAW_PARSE_DEFAULT);
    if (statements == NIL) return Found{"an empty statement", false};
    Node* node = linitial_node(RawStmt, statements)->stmt;
    Found statement{GetCommandTagName(CreateCommandTag(node)), true};
    switch (nodeTag(node)) {
      case T_AlterSystemStmt:
      case T_CallStmt:
      case T_CheckPointStmt:
      case T_ClosePortalStmt:
      case T_ConstraintsSetStmt:
      case T_CopyStmt:
      case T_DeallocateStmt:
      case T_DeclareCursorStmt:
      case T_DiscardStmt:
      case T_DoStmt:
      case T_ExecuteStmt:
      case T_FetchStmt:
      case T_ListenStmt:
      case T_LoadStmt:
      case T_LockStmt:
      case T_NotifyStmt:
      case T_PrepareStmt:
      case T_TransactionStmt:
      case T_UnlistenStmt:
      case T_VariableSetStmt:
        statement.is_write = false;
        break;
      default:
        break;
    }
    return statement;
  });
  if (found.is_write) {
    RaiseAs("25006", "cannot execute " + std::string(found.command) + " in a read-only transaction",
            "pitr_create_branch makes a branch of the past that can be written.");
  }
  RaiseAs("42501", "cannot execute " + std::string(found.command) + " at a point of the past",
          "Only a statement that returns rows is run there.");
}

Status PutAll(LookClient* client, LookRows* rows) {
  PITR_RETURN_IF_ERROR(client->Start());
  for (;;) {
    PITR_ASSIGN_OR_RETURN(const ResultPtr some, client->Next());
    if (some == nullptr) return Status::Ok();
    rows->Put(some.get());
    CheckInterrupts();
  }
}

// EXPLAIN, SHOW: no subquery can be made of them, and all their columns are text.
Status PutAsObjects(LookClient* client, LookRows* rows) {
  PITR_RETURN_IF_ERROR(client->Start());
  for (;;) {
    PITR_ASSIGN_OR_RETURN(const ResultPtr some, client->Next());
    if (some == nullptr) return Status::Ok();
    for (int row = 0; row < PQntuples(some.get()); row++) {
      Json object = Json::object();
      for (int column = 0; column < PQnfields(some.get()); column++) {
        object[PQfname(some.get(), column)] = PQgetvalue(some.get(), row, column);
      }
      rows->PutText(DumpJson(object));
    }
  }
}

// What it returns; whatever is no query ends here.
Result<ResultPtr> PrepareQuery(LookClient* client, const std::string& query) {
  PITR_ASSIGN_OR_RETURN(ResultPtr described, client->Prepare(query));
  if (PQnfields(described.get()) == 0) RefuseStatement(query);
  if (PQnparams(described.get()) > 0) {
    RaiseAs("42P02", "there is no parameter $1", "Write values into the query: format(..., %L).");
  }
  return described;
}

Status RunRows(LookClient* client, const Query& query, LookRows* rows) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr described, PrepareQuery(client, query.text));
  PITR_RETURN_IF_ERROR(rows->CheckColumns(client, described.get()));
  // Our question took the place of the statement without a name.
  PITR_RETURN_IF_ERROR(client->Prepare(query.text).status());
  return PutAll(client, rows);
}

Status RunJson(LookClient* client, const Query& query, LookRows* rows) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr described, PrepareQuery(client, query.text));
  const Statement one = StatementIn(query.text);
  if (one.kind != T_SelectStmt)
    return ReturnsRows(one.kind) ? PutAsObjects(client, rows) : PutAll(client, rows);
  // It is one statement that stands alone, so it is one as a subquery as well; a comment at its end ends with the line.
  const std::string text =
      query.text.substr(static_cast<std::size_t>(one.begin),
                        one.size == 0 ? std::string::npos : static_cast<std::size_t>(one.size));
  PITR_RETURN_IF_ERROR(
      client->Prepare("SELECT pg_catalog.to_jsonb(q) FROM (" + text + "\n) AS q").status());
  return PutAll(client, rows);
}

using Runner = Status (*)(LookClient*, const Query&, LookRows*);

// A look that was found may end before it is entered.
Status RunAt(const Query& query, Runner run, LookRows* rows) {
  for (int i = 1;; i++) {
    PITR_ASSIGN_OR_RETURN(const HeldLook held, HoldLook(query.point));
    LookClient client;
    const Status connected = client.Connect(held.look, query.role, query.database);
    if (connected.code() == Code::kUnavailable && i < kTries) {
      NapOnLatch(kPauseMs);
      CheckInterrupts();
      continue;
    }
    PITR_RETURN_IF_ERROR(connected);
    PITR_RETURN_IF_ERROR(CheckRightsOfMachine(&client, query.role));
    PITR_RETURN_IF_ERROR(TakeOverSettings(&client));
    const Status status = run(&client, query, rows);
    NoteUseOfLook(held.use);
    return status;
  }
}

Result<Datum> QueryAt(FunctionCallInfo fcinfo, Runner run) {
  PITR_ASSIGN_OR_RETURN(const Query query, ReadArguments(fcinfo));
  LookRows rows(fcinfo);
  PITR_RETURN_IF_ERROR(RunAt(query, run, &rows));
  return Datum{0};
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_query_at) { return pitr::pg::QueryAt(fcinfo, pitr::pg::RunRows); }
PITR_FUNCTION(pitr_query_json_at) { return pitr::pg::QueryAt(fcinfo, pitr::pg::RunJson); }
