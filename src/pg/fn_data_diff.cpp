// pitr_data_diff: rows of a table that differ between two points. Both sides are read in the order of their keys, as whoever calls, and merged; what is
// kept in memory is a row of each.
#include <libpq-fe.h>

#include <algorithm>
#include <cstring>

#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/look_entry.h"
#include "pg/look_source.h"
#include "pg/operation_slots.h"
#include "pg/row_builder.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// What the sides must agree on. The key: the primary one, else that of the replica identity.
constexpr char kDescribe[] =
    "SELECT c.relkind, format('%I.%I', n.nspname, c.relname),"
    " (SELECT jsonb_agg(a.attname ORDER BY k.place) FROM (SELECT i.indkey FROM pg_index i"
    "   WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)"
    "   ORDER BY i.indisprimary DESC LIMIT 1) x, unnest(x.indkey) WITH ORDINALITY k(number, place)"
    "   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number),"
    " (SELECT jsonb_build_object('names', coalesce(jsonb_agg(a.attname ORDER BY a.attnum), '[]'))"
    "   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = to_regclass($1)";

// A statement that gives the statement to run: place in the order, key, row, what of the row is compared. The order is that of UTF-8, which both
// sides have, whatever the collations and encodings of then and now.
constexpr char kStatement[] =
    "SELECT format('SELECT encode(place, ''hex''), k, r, c FROM (SELECT convert_to(k::text,"
    " ''UTF8'') AS place, k, r, r - %L::text[] AS c FROM (SELECT jsonb_build_object(%s) AS k,"
    " to_jsonb(t) AS r FROM %s AS t) a) b ORDER BY place', $3::text[],"
    " (SELECT string_agg(format('%L, t.%I', name, name), ', ' ORDER BY place)"
    "   FROM jsonb_array_elements_text($2::jsonb) WITH ORDINALITY AS e(name, place)), $1::text)";

struct Table {
  std::string name;  // as SQL writes it; all in the encoding of the database
  std::string key;   // a JSON array of names
  Json columns;      // in UTF-8
};

class Side {
 public:
  // Errors: 42P01, 42809, 55000 RAISED. THROWS ErrorInFlight, here and below.
  static Result<Side> Enter(const NamedPoint& at, const std::string& relation,
                            const std::string& database);

  const Table& table() const { return table_; }
  const std::string& where() const { return where_; }
  // Rows come without the columns that only one side has, for the comparison.
  Status Begin(const Json& only_here);
  // The next row, if there is one.
  Status Advance();
  bool is_at_end() const { return rows_ == nullptr; }

  const char* place() const { return Field(0); }
  std::string key() const { return Utf8OfServer(Field(1)); }
  std::string row() const { return Utf8OfServer(Field(2)); }
  const char* compared() const { return Field(3); }
  void NoteUse() const { NoteUseOfLook(look_.held.use); }

 private:
  Status Describe(const std::string& relation);
  const char* Field(int column) const { return PQgetvalue(rows_.get(), row_, column); }

  std::string where_;
  EnteredLook look_;
  Table table_;
  ResultPtr rows_;
  int row_ = 0;
};

Result<Side> Side::Enter(const NamedPoint& at, const std::string& relation,
                         const std::string& database) {
  Side side;
  side.where_ = at.text;
  PITR_ASSIGN_OR_RETURN(side.look_, EnterLook(at.text, CallingRole(), database));
  PITR_RETURN_IF_ERROR(TakeOverSettings(side.look_.client.get()));
  PITR_RETURN_IF_ERROR(side.Describe(relation));
  return side;
}

Status Side::Describe(const std::string& relation) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr found, look_.client->Query(kDescribe, {relation}));
  if (PQntuples(found.get()) == 0) {
    RaiseAs("42P01", "relation \"" + relation + "\" does not exist at \"" + where_ + "\"",
            "Name it as it was called there, with its schema.");
  }
  const char kind = *PQgetvalue(found.get(), 0, 0);
  if (kind != 'r' && kind != 'p')
    RaiseAs("42809", "\"" + relation + "\" is not a table at \"" + where_ + "\"", nullptr);
  if (PQgetisnull(found.get(), 0, 2) != 0) {
    RaiseAs("55000", "table \"" + relation + "\" has no primary key at \"" + where_ + "\"",
            "Rows are told apart by the primary key, or by the index of the replica identity.");
  }
  table_.name = PQgetvalue(found.get(), 0, 1);
  table_.key = PQgetvalue(found.get(), 0, 2);
  PITR_ASSIGN_OR_RETURN(const Json columns,
                        ParseJson(Utf8OfServer(PQgetvalue(found.get(), 0, 3)), "columns"));
  table_.columns = columns.at("names");
  return Status::Ok();
}

// {a,"b"} of names, in the encoding of the database.
std::string ArrayText(const Json& names) {
  std::string text = "{";
  for (const Json& name : names) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (const char c : ServerOfUtf8(name.get<std::string>())) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + "}";
}

Status Side::Begin(const Json& only_here) {
  PITR_ASSIGN_OR_RETURN(
      const ResultPtr statement,
      look_.client->Query(kStatement, {table_.name, table_.key, ArrayText(only_here)}));
  PITR_RETURN_IF_ERROR(look_.client->Prepare(PQgetvalue(statement.get(), 0, 0)).status());
  PITR_RETURN_IF_ERROR(look_.client->Start());
  return Advance();
}

Status Side::Advance() {
  if (rows_ != nullptr && ++row_ < PQntuples(rows_.get())) return Status::Ok();
  row_ = 0;
  do {
    PITR_ASSIGN_OR_RETURN(rows_, look_.client->Next());
  } while (rows_ != nullptr && PQntuples(rows_.get()) == 0);
  return Status::Ok();
}

Json Without(const Json& names, const Json& others) {
  Json left = Json::array();
  for (const Json& name : names) {
    if (std::find(others.begin(), others.end(), name) == others.end()) left.push_back(name);
  }
  return left;
}

Status Merge(Side* base, Side* compare, RowBuilder* rows) {
  while (!base->is_at_end() || !compare->is_at_end()) {
    CheckInterrupts();
    int order = 0;
    if (base->is_at_end()) {
      order = 1;
    } else if (compare->is_at_end()) {
      order = -1;
    } else {
      order = std::strcmp(base->place(), compare->place());
    }
    if (order < 0) {
      rows->Text("delete").Input(base->key()).Input(base->row()).Null().EndRow();
    } else if (order > 0) {
      rows->Text("insert").Input(compare->key()).Null().Input(compare->row()).EndRow();
    } else if (std::strcmp(base->compared(), compare->compared()) != 0) {
      rows->Text("update").Input(base->key()).Input(base->row()).Input(compare->row()).EndRow();
    }
    if (order <= 0) PITR_RETURN_IF_ERROR(base->Advance());
    if (order >= 0) PITR_RETURN_IF_ERROR(compare->Advance());
  }
  return Status::Ok();
}

Result<Datum> DataDiff(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0) || IsNull(fcinfo, 1))
    return Status(Code::kInvalidArgument, "relation and base must not be null");
  const std::string relation = ServerTextArg(fcinfo, 0);
  PITR_ASSIGN_OR_RETURN(const NamedPoint first, NamePoint(TextArg(fcinfo, 1), std::nullopt));
  PITR_ASSIGN_OR_RETURN(const NamedPoint second,
                        NamePoint(OptionalTextArg(fcinfo, 2).value_or("^self"), std::nullopt));
  const std::string database = IsNull(fcinfo, 3) ? CallingDatabase() : ServerTextArg(fcinfo, 3);
  PITR_ASSIGN_OR_RETURN(Side base, Side::Enter(first, relation, database));
  PITR_ASSIGN_OR_RETURN(Side compare, Side::Enter(second, relation, database));
  if (base.table().key != compare.table().key) {
    RaiseAs("55000", "table \"" + relation + "\" has another key at each of the two points",
            "Rows are told apart by the primary key, or by the index of the replica identity.");
  }
  RowBuilder rows(fcinfo);
  PITR_RETURN_IF_ERROR(base.Begin(Without(base.table().columns, compare.table().columns)));
  PITR_RETURN_IF_ERROR(compare.Begin(Without(compare.table().columns, base.table().columns)));
  PITR_RETURN_IF_ERROR(Merge(&base, &compare, &rows));
  base.NoteUse();
  compare.NoteUse();
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_data_diff) { return pitr::pg::DataDiff(fcinfo); }
