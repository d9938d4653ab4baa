// pitr_query_at and pitr_query_json_at: one query on the past, as whoever calls.
#include <libpq-fe.h>

#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/look_client.h"
#include "pg/look_entry.h"
#include "pg/look_rows.h"
#include "pg/row_builder.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
}

namespace pitr::pg {

namespace {

struct Query {
  std::string point;  // UTF-8, the others as the database has them
  std::string text, role, database;
};

Result<Query> ReadArguments(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1))
    return Status(Code::kInvalidArgument, "point and query must not be null");
  Query query;
  query.point = TextArg(fcinfo, 0);
  query.text = ServerTextArg(fcinfo, 1);
  query.database = IsNull(fcinfo, 2) ? CallingDatabase() : ServerTextArg(fcinfo, 2);
  query.role = CallingRole();
  return query;
}

// The statement without what ends it: being one that stands alone, it is one in parentheses as well. Only what the server has parsed already comes here.
struct Statement {
  NodeTag kind;
  std::string text;
};
Statement StatementIn(const std::string& query) {
  struct Place {
    NodeTag kind;
    int begin, size;  // 0: up to the end
  };
  const Place place = Call([&] {
    const List* statements = raw_parser(query.c_str(), RAW_PARSE_DEFAULT);
    if (statements == NIL) return Place{T_Invalid, 0, 0};
    const RawStmt* first = linitial_node(RawStmt, statements);
    return Place{nodeTag(first->stmt), first->stmt_location, first->stmt_len};
  });
  return {place.kind,
          query.substr(static_cast<std::size_t>(place.begin),
                       place.size == 0 ? std::string::npos : static_cast<std::size_t>(place.size))};
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
  }
}

// The rows of a SELECT by COPY: the same texts, for half of the work that libpq has with results of one row. A comment at its end ends with the line.
Status PutCopied(LookClient* client, const std::string& query, LookRows* rows) {
  PITR_RETURN_IF_ERROR(client->StartCopy("COPY (" + query + "\n) TO STDOUT"));
  for (;;) {
    PITR_ASSIGN_OR_RETURN(const std::string_view line, client->NextOfCopy());
    if (line.empty()) return Status::Ok();
    PITR_RETURN_IF_ERROR(rows->PutLine(line));
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
  const Statement one = StatementIn(query.text);
  if (one.kind == T_SelectStmt) return PutCopied(client, one.text, rows);
  // Our question took the place of the statement without a name.
  PITR_RETURN_IF_ERROR(client->Prepare(query.text).status());
  return PutAll(client, rows);
}

Status RunJson(LookClient* client, const Query& query, LookRows* rows) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr described, PrepareQuery(client, query.text));
  const Statement one = StatementIn(query.text);
  if (one.kind != T_SelectStmt)
    return ReturnsRows(one.kind) ? PutAsObjects(client, rows) : PutAll(client, rows);
  return PutCopied(client, "SELECT pg_catalog.to_jsonb(q) FROM (" + one.text + "\n) AS q", rows);
}

using Runner = Status (*)(LookClient*, const Query&, LookRows*);

Status RunAt(const Query& query, Runner run, LookRows* rows) {
  PITR_ASSIGN_OR_RETURN(const EnteredLook look, EnterLook(query.point, query.role, query.database));
  PITR_RETURN_IF_ERROR(TakeOverSettings(look.client.get()));
  const Status status = run(look.client.get(), query, rows);
  NoteUseOfLook(look.held.use);
  return status;
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
