// Arguments of SQL functions as C++ values, and materialised result rows from C++ values. Texts are UTF-8 on our side and in
// the database's encoding on the server's; both directions convert.
//
// All of it may THROW ErrorInFlight (memory, encodings): it belongs in bodies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/result.h"
#include "core/types/lsn.h"
#include "pg/boundary.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

inline bool IsNull(FunctionCallInfo fcinfo, int index) { return fcinfo->args[index].isnull; }
// REQUIRES: not null, of the type that the SQL definition says.
std::string TextArg(FunctionCallInfo fcinfo, int index);
bool BoolArg(FunctionCallInfo fcinfo, int index);
std::int32_t Int4Arg(FunctionCallInfo fcinfo, int index);
std::int64_t Int8Arg(FunctionCallInfo fcinfo, int index);
Lsn LsnArg(FunctionCallInfo fcinfo, int index);
// kInvalidTime for infinity and -infinity.
Result<Timestamp> TimeArg(FunctionCallInfo fcinfo, int index);
// Microseconds; months count 30 days.
std::int64_t IntervalArg(FunctionCallInfo fcinfo, int index);
// The same text in the encoding of the database, for what goes back to a server.
std::string ServerTextArg(FunctionCallInfo fcinfo, int index);
std::string Utf8OfServer(const std::string& text);
std::string ServerOfUtf8(const std::string& text);
// Null elements are left out.
std::vector<std::string> TextArrayArg(FunctionCallInfo fcinfo, int index);
// A jsonb as the server prints it.
std::string JsonbArg(FunctionCallInfo fcinfo, int index);
std::optional<std::string> OptionalTextArg(FunctionCallInfo fcinfo, int index);

// A value for `return`: the text in the caller's memory context.
Datum TextDatum(std::string_view text);

// One call for each column of a row, then EndRow; `return rows.Finish()` at the end. A trailing column that the installed SQL
// definition does not have yet is left out, one that was not given is null: the library serves older definitions of its
// functions. A value of another type than the column's is an error.
class RowBuilder {
 public:
  // `scalar`: the function returns SETOF of a type that is no row.
  explicit RowBuilder(FunctionCallInfo fcinfo, bool scalar = false);

  RowBuilder& Null();
  RowBuilder& Text(std::string_view value);
  RowBuilder& TextOrNull(const std::optional<std::string>& value);
  RowBuilder& TextOrNull(std::string_view value);  // null when empty
  RowBuilder& Int8(std::int64_t value);
  RowBuilder& Int8OrNull(const std::optional<std::int64_t>& value);
  RowBuilder& Int4(std::int32_t value);
  RowBuilder& Int4OrNull(const std::optional<std::int32_t>& value);
  RowBuilder& Bool(bool value);
  RowBuilder& BoolOrNull(const std::optional<bool>& value);
  RowBuilder& Lsn(pitr::Lsn value);
  RowBuilder& LsnOrNull(pitr::Lsn value);  // null when 0/0
  RowBuilder& Time(Timestamp value);
  RowBuilder& TimeOrNull(const std::optional<Timestamp>& value);
  RowBuilder& Xid(pitr::Xid value);
  RowBuilder& XidOrNull(pitr::Xid value);  // null when 0
  RowBuilder& Interval(std::int64_t micros);
  RowBuilder& IntervalOrNull(const std::optional<std::int64_t>& micros);
  RowBuilder& TextArray(const std::vector<std::string>& values);
  // By the input function of the column's type: inet, jsonb, … RAISES inside: what that function refuses.
  RowBuilder& Input(const std::string& text);
  void EndRow();

  // Rows from here on are kept as well, as arrays of JSON. REQUIRES: columns of text, bigint, integer, boolean, pg_lsn,
  // timestamptz, interval, inet.
  void KeepRows() { keeps_ = true; }
  const Json& kept() const { return kept_; }
  // Forgets every row that was given.
  void Clear();
  // A row of kept() of the same function. False, and no row, when it does not fit the columns.
  bool AddKept(const Json& row);

  Result<Datum> Finish();

 private:
  bool Takes(Oid type);
  void Put(Datum value);
  Json KeptValue(int column) const;
  bool PutKept(const Json& value);

  FunctionCallInfo fcinfo_;
  MemoryContext row_context_ = nullptr;  // child of the caller's: goes with it at an error
  std::vector<Datum> values_;
  std::vector<char> nulls_;  // bool for each column; vector<bool> has no array inside
  int column_ = 0;
  int column_count_ = 0;
  bool keeps_ = false;
  Json kept_ = Json::array();
  Status status_;
};

}  // namespace pitr::pg
