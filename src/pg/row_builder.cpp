#include "pg/row_builder.h"
#include "core/base/json.h"

#include "pg/postgres_headers.h"

extern "C" {
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

#include <type_traits>

namespace pitr::pg {

namespace {

struct Span {
  const char* data;
  std::size_t size;
  std::string Copy() const { return std::string(data, size); }
};

// REQUIRES: inside a Call. Detoasts and converts to UTF-8; the memory is the server's.
Span TextSpan(Datum datum) {
  text* value = DatumGetTextPP(datum);
  char* raw = VARDATA_ANY(value);
  const int size = static_cast<int>(VARSIZE_ANY_EXHDR(value));
  char* converted = pg_server_to_any(raw, size, PG_UTF8);
  return {converted, converted == raw ? static_cast<std::size_t>(size) : std::strlen(converted)};
}

// REQUIRES: inside a Call.
text* MakeText(const char* data, std::size_t size) {
  if (size > MaxAllocSize / 4) {
    size = MaxAllocSize / 4;
  }
  char* converted = pg_any_to_server(data, static_cast<int>(size), PG_UTF8);
  return cstring_to_text_with_len(
      converted, static_cast<int>(converted == data ? size : std::strlen(converted)));
}

ReturnSetInfo* ResultInfo(FunctionCallInfo fcinfo) {
  return reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
}

}  // namespace

std::string TextArg(FunctionCallInfo fcinfo, int index) {
  const Span span = Call([&] { return TextSpan(fcinfo->args[index].value); });
  return span.Copy();
}

std::string JsonbArg(FunctionCallInfo fcinfo, int index) {
  const Span span = Call([&] {
    const Datum printed = DirectFunctionCall1(jsonb_out, fcinfo->args[index].value);
    return TextSpan(PointerGetDatum(cstring_to_text(DatumGetCString(printed))));
  });
  return span.Copy();
}

std::optional<std::string> OptionalTextArg(FunctionCallInfo fcinfo, int index) {
  if (IsNull(fcinfo, index)) {
    return std::nullopt;
  }
  return TextArg(fcinfo, index);
}

std::string ServerTextArg(FunctionCallInfo fcinfo, int index) {
  const char* found =
      Call([&] { return text_to_cstring(DatumGetTextPP(fcinfo->args[index].value)); });
  return found;
}

std::string Utf8OfServer(const std::string& text) {
  const char* converted =
      Call([&] { return pg_server_to_any(text.c_str(), static_cast<int>(text.size()), PG_UTF8); });
  return converted;
}

std::string ServerOfUtf8(const std::string& text) {
  const char* converted =
      Call([&] { return pg_any_to_server(text.c_str(), static_cast<int>(text.size()), PG_UTF8); });
  return converted;
}

bool BoolArg(FunctionCallInfo fcinfo, int index) { return DatumGetBool(fcinfo->args[index].value); }

std::int32_t Int4Arg(FunctionCallInfo fcinfo, int index) {
  return DatumGetInt32(fcinfo->args[index].value);
}

std::int64_t Int8Arg(FunctionCallInfo fcinfo, int index) {
  return DatumGetInt64(fcinfo->args[index].value);
}

Lsn LsnArg(FunctionCallInfo fcinfo, int index) {
  return {static_cast<std::uint64_t>(DatumGetLSN(fcinfo->args[index].value))};
}

Result<Timestamp> TimeArg(FunctionCallInfo fcinfo, int index) {
  const TimestampTz value = DatumGetTimestampTz(fcinfo->args[index].value);
  if (TIMESTAMP_NOT_FINITE(value)) {
    return Status(Code::kInvalidTime, TIMESTAMP_IS_NOEND(value)
                                          ? "timestamp must be finite - infinity"
                                          : "timestamp must be finite - -infinity");
  }
  return FromPostgresTime(value);
}

std::int64_t IntervalArg(FunctionCallInfo fcinfo, int index) {
  const ::Interval* value = DatumGetIntervalP(fcinfo->args[index].value);
  return value->time +
         (static_cast<std::int64_t>(value->month) * DAYS_PER_MONTH + value->day) * USECS_PER_DAY;
}

std::vector<std::string> TextArrayArg(FunctionCallInfo fcinfo, int index) {
  struct Elements {
    Datum* values;
    bool* nulls;
    int count;
  };
  const Elements elements = Call([&] {
    Elements found{};
    deconstruct_array(DatumGetArrayTypeP(fcinfo->args[index].value), TEXTOID, -1, false,
                      TYPALIGN_INT, &found.values, &found.nulls, &found.count);
    return found;
  });
  std::vector<std::string> texts;
  for (int i = 0; i < elements.count; i++) {
    if (!elements.nulls[i]) {
      const Span span = Call([&] { return TextSpan(elements.values[i]); });
      texts.push_back(span.Copy());
    }
  }
  return texts;
}

Datum TextDatum(std::string_view text) {
  return Call([&] { return PointerGetDatum(MakeText(text.data(), text.size())); });
}

RowBuilder::RowBuilder(FunctionCallInfo fcinfo, bool scalar) : fcinfo_(fcinfo) {
  column_count_ = Call([&] {
    InitMaterializedSRF(fcinfo, scalar ? MAT_SRF_USE_EXPECTED_DESC : 0);
    row_context_ =
        AllocSetContextCreate(CurrentMemoryContext, "pitr result row", ALLOCSET_DEFAULT_SIZES);
    return ResultInfo(fcinfo)->setDesc->natts;
  });
  values_.resize(static_cast<std::size_t>(column_count_));
  nulls_.assign(static_cast<std::size_t>(column_count_), 1);
}

bool RowBuilder::Takes(Oid type) {
  if (column_ >= column_count_) {
    column_++;
    return false;
  }
  const Oid declared = TupleDescAttr(ResultInfo(fcinfo_)->setDesc, column_)->atttypid;
  if (declared == type) {
    return true;
  }
  if (status_.ok()) {
    status_ =
        Status(Code::kInternal, "result column " + std::to_string(column_ + 1) +
                                    " has another type than this version of the library gives")
            .WithHint("Update the extension (ALTER EXTENSION pitr_ext UPDATE).");
  }
  column_++;
  return false;
}

void RowBuilder::Put(Datum value) {
  values_[static_cast<std::size_t>(column_)] = value;
  nulls_[static_cast<std::size_t>(column_)] = 0;
  column_++;
}

RowBuilder& RowBuilder::Null() {
  column_++;
  return *this;
}

RowBuilder& RowBuilder::Text(std::string_view value) {
  if (Takes(TEXTOID)) {
    Put(Call([&] {
      const MemoryContext previous = MemoryContextSwitchTo(row_context_);
      const Datum datum = PointerGetDatum(MakeText(value.data(), value.size()));
      MemoryContextSwitchTo(previous);
      return datum;
    }));
  }
  return *this;
}

RowBuilder& RowBuilder::TextOrNull(const std::optional<std::string>& value) {
  return value ? Text(*value) : Null();
}

RowBuilder& RowBuilder::TextOrNull(std::string_view value) {
  return value.empty() ? Null() : Text(value);
}

RowBuilder& RowBuilder::Int8(std::int64_t value) {
  if (Takes(INT8OID)) {
    Put(Int64GetDatum(value));
  }
  return *this;
}

RowBuilder& RowBuilder::Int8OrNull(const std::optional<std::int64_t>& value) {
  return value ? Int8(*value) : Null();
}

RowBuilder& RowBuilder::Int4(std::int32_t value) {
  if (Takes(INT4OID)) {
    Put(Int32GetDatum(value));
  }
  return *this;
}

RowBuilder& RowBuilder::Int4OrNull(const std::optional<std::int32_t>& value) {
  return value ? Int4(*value) : Null();
}

RowBuilder& RowBuilder::Bool(bool value) {
  if (Takes(BOOLOID)) {
    Put(BoolGetDatum(value));
  }
  return *this;
}

RowBuilder& RowBuilder::BoolOrNull(const std::optional<bool>& value) {
  return value ? Bool(*value) : Null();
}

RowBuilder& RowBuilder::Lsn(pitr::Lsn value) {
  if (Takes(PG_LSNOID)) {
    Put(LSNGetDatum(value.value));
  }
  return *this;
}

RowBuilder& RowBuilder::LsnOrNull(pitr::Lsn value) { return value.valid() ? Lsn(value) : Null(); }

RowBuilder& RowBuilder::Time(Timestamp value) {
  if (Takes(TIMESTAMPTZOID)) {
    Put(TimestampTzGetDatum(ToPostgresTime(value)));
  }
  return *this;
}

RowBuilder& RowBuilder::TimeOrNull(const std::optional<Timestamp>& value) {
  return value ? Time(*value) : Null();
}

RowBuilder& RowBuilder::Xid(pitr::Xid value) {
  if (Takes(XIDOID)) {
    Put(TransactionIdGetDatum(value));
  }
  return *this;
}

RowBuilder& RowBuilder::XidOrNull(pitr::Xid value) { return value != 0 ? Xid(value) : Null(); }

RowBuilder& RowBuilder::Interval(std::int64_t micros) {
  if (Takes(INTERVALOID)) {
    Put(Call([&] {
      auto* value =
          static_cast<::Interval*>(MemoryContextAllocZero(row_context_, sizeof(::Interval)));
      value->time = micros;
      return PointerGetDatum(value);
    }));
  }
  return *this;
}

RowBuilder& RowBuilder::IntervalOrNull(const std::optional<std::int64_t>& micros) {
  return micros ? Interval(*micros) : Null();
}

RowBuilder& RowBuilder::TextArray(const std::vector<std::string>& values) {
  if (Takes(TEXTARRAYOID)) {
    Put(Call([&] {
      const MemoryContext previous = MemoryContextSwitchTo(row_context_);
      auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (values.size() + 1)));
      for (std::size_t i = 0; i < values.size(); i++) {
        elements[i] = PointerGetDatum(MakeText(values[i].data(), values[i].size()));
      }
      const Datum datum = PointerGetDatum(construct_array(elements, static_cast<int>(values.size()),
                                                          TEXTOID, -1, false, TYPALIGN_INT));
      MemoryContextSwitchTo(previous);
      return datum;
    }));
  }
  return *this;
}

RowBuilder& RowBuilder::Input(const std::string& text) {
  if (column_ >= column_count_) {
    return Null();
  }
  Put(Call([&] {
    const MemoryContext previous = MemoryContextSwitchTo(row_context_);
    Oid function;
    Oid parameter;
    getTypeInputInfo(TupleDescAttr(ResultInfo(fcinfo_)->setDesc, column_)->atttypid, &function,
                     &parameter);
    char* converted = pg_any_to_server(text.c_str(), static_cast<int>(text.size()), PG_UTF8);
    const Datum datum = OidInputFunctionCall(function, converted, parameter, -1);
    MemoryContextSwitchTo(previous);
    return datum;
  }));
  return *this;
}

void RowBuilder::EndRow() {
  static_assert(sizeof(bool) == sizeof(char));
  if (keeps_) {
    Json row = Json::array();
    for (int column = 0; column < column_count_; column++) {
      row.push_back(KeptValue(column));
    }
    kept_.push_back(std::move(row));
  }
  Call([&] {
    ReturnSetInfo* info = ResultInfo(fcinfo_);
    tuplestore_putvalues(info->setResult, info->setDesc, values_.data(),
                         reinterpret_cast<bool*>(nulls_.data()));
    MemoryContextReset(row_context_);
  });
  nulls_.assign(nulls_.size(), 1);
  column_ = 0;
}

void RowBuilder::Clear() {
  Call([&] {
    tuplestore_clear(ResultInfo(fcinfo_)->setResult);
    MemoryContextReset(row_context_);
  });
  nulls_.assign(nulls_.size(), 1);
  column_ = 0;
  kept_ = Json::array();
  status_ = Status::Ok();
}

Json RowBuilder::KeptValue(int column) const {
  const auto index = static_cast<std::size_t>(column);
  if (nulls_[index] != 0) {
    return nullptr;
  }
  const Datum value = values_[index];
  switch (TupleDescAttr(ResultInfo(fcinfo_)->setDesc, column)->atttypid) {
    case INT8OID:
      return DatumGetInt64(value);
    case INT4OID:
      return DatumGetInt32(value);
    case BOOLOID:
      return DatumGetBool(value);
    case PG_LSNOID:
      return DatumGetLSN(value);
    case TIMESTAMPTZOID:
      return FromPostgresTime(DatumGetTimestampTz(value)).micros;
    case INTERVALOID:
      return reinterpret_cast<const ::Interval*>(DatumGetPointer(value))->time;
    case TEXTOID: {
      const Span span = Call([&] { return TextSpan(value); });
      return span.Copy();
    }
    default: {
      const char* text = Call([&] {
        Oid function;
        bool is_varlena;
        getTypeOutputInfo(TupleDescAttr(ResultInfo(fcinfo_)->setDesc, column)->atttypid, &function,
                          &is_varlena);
        return OidOutputFunctionCall(function, value);
      });
      return std::string(text);
    }
  }
}

bool RowBuilder::PutKept(const Json& value) {
  if (value.is_null()) {
    Null();
    return true;
  }
  const Oid type = TupleDescAttr(ResultInfo(fcinfo_)->setDesc, column_)->atttypid;
  const bool is_number = type == INT8OID || type == INT4OID || type == PG_LSNOID ||
                         type == TIMESTAMPTZOID || type == INTERVALOID;
  if (is_number ? !value.is_number_integer()
                : (type == BOOLOID ? !value.is_boolean() : !value.is_string())) {
    return false;
  }
  switch (type) {
    case INT8OID:
      Int8(value.get<std::int64_t>());
      return true;
    case INT4OID:
      Int4(value.get<std::int32_t>());
      return true;
    case BOOLOID:
      Bool(value.get<bool>());
      return true;
    case PG_LSNOID:
      Lsn(pitr::Lsn{value.get<std::uint64_t>()});
      return true;
    case TIMESTAMPTZOID:
      Time(Timestamp{value.get<std::int64_t>()});
      return true;
    case INTERVALOID:
      this->Interval(value.get<std::int64_t>());
      return true;
    case TEXTOID:
      Text(value.get<std::string>());
      return true;
    default:
      Input(value.get<std::string>());
      return true;
  }
}

bool RowBuilder::AddKept(const Json& row) {
  bool fits = row.is_array() && row.size() == static_cast<std::size_t>(column_count_);
  for (std::size_t i = 0; fits && i < row.size(); i++) {
    fits = PutKept(row[i]);
  }
  if (!fits) {
    nulls_.assign(nulls_.size(), 1);
    column_ = 0;
    return false;
  }
  EndRow();
  return true;
}

Result<Datum> RowBuilder::Finish() {
  if (!status_.ok()) {
    return status_;
  }
  return static_cast<Datum>(0);
}

}  // namespace pitr::pg
