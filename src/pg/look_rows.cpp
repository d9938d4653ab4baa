#include "pg/look_rows.h"

#include <libpq-fe.h>

#include "core/work/copy_line.h"
#include "pg/boundary.h"

extern "C" {
#include "access/transam.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
}

namespace pitr::pg {

namespace {

void RequireColumns(FunctionCallInfo fcinfo) {
  auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const bool can_take = info != nullptr && IsA(info, ReturnSetInfo) &&
                        (info->allowedModes & SFRM_Materialize) != 0 &&
                        info->expectedDesc != nullptr;
  if (can_take) return;
  ForeignError error{};
  error.sqlstate = "42601";
  error.message = "the columns of the result are not known";
  error.hint =
      "Write SELECT * FROM pitr_query_at(...) AS t(name type, ...), or use pitr_query_json_at.";
  RaiseForeign(error);
}

// "(integer, text)" as this database calls them.
std::string LocalColumns(TupleDesc columns) {
  std::string text;
  for (int i = 0; i < columns->natts; i++) {
    const char* name = Call([&] {
      const Form_pg_attribute column = TupleDescAttr(columns, i);
      return format_type_with_typemod(column->atttypid, column->atttypmod);
    });
    text += (i == 0 ? "" : ", ") + std::string(name);
  }
  return "(" + text + ")";
}

// As the past calls them.
Result<std::vector<std::string>> RemoteTypes(LookClient* client, const PGresult* described) {
  std::string types, modifiers;
  const int count = PQnfields(described);
  for (int i = 0; i < count; i++) {
    types += (i == 0 ? "" : ",") + std::to_string(PQftype(described, i));
    modifiers += (i == 0 ? "" : ",") + std::to_string(PQfmod(described, i));
  }
  PITR_ASSIGN_OR_RETURN(const ResultPtr answer,
                        client->Query("SELECT pg_catalog.format_type(c.t, c.m) FROM ROWS FROM "
                                      "(pg_catalog.unnest($1::pg_catalog.oid[]), "
                                      "pg_catalog.unnest($2::pg_catalog.int4[])) AS c(t, m)",
                                      {"{" + types + "}", "{" + modifiers + "}"}));
  std::vector<std::string> names;
  for (int i = 0; i < PQntuples(answer.get()); i++)
    names.emplace_back(PQgetvalue(answer.get(), i, 0));
  return names;
}

// What is not built in may have been made anew since.
bool IsSame(Oid remote, Oid local, const std::string& remote_name) {
  const bool is_coercible = Call([&] {
    return SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(remote)) &&
           IsBinaryCoercible(remote, local);
  });
  if (is_coercible) return true;
  if (remote < FirstNormalObjectId || local < FirstNormalObjectId) return false;
  return remote_name == Call([&] { return format_type_be(local); });
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return "(" + text + ")";
}

}  // namespace

LookRows::LookRows(FunctionCallInfo fcinfo) {
  Call([&] {
    RequireColumns(fcinfo);
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    info_ = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    inputs_ = TupleDescGetAttInMetadata(info_->setDesc);
    row_context_ =
        AllocSetContextCreate(CurrentMemoryContext, "pitr row of the past", ALLOCSET_DEFAULT_SIZES);
  });
  datums_.resize(static_cast<std::size_t>(info_->setDesc->natts));
  nulls_.resize(datums_.size());
}

Status LookRows::CheckColumns(LookClient* client, const pg_result* described) const {
  const TupleDesc columns = info_->setDesc;
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, RemoteTypes(client, described));
  bool is_same = names.size() == static_cast<std::size_t>(columns->natts);
  for (std::size_t i = 0; is_same && i < names.size(); i++) {
    const int column = static_cast<int>(i);
    is_same =
        IsSame(PQftype(described, column), TupleDescAttr(columns, column)->atttypid, names[i]);
  }
  if (is_same) return Status::Ok();
  const std::string detail = "The query returns " + Joined(names) + ", the column list says " +
                             LocalColumns(columns) + ".";
  ForeignError error{};
  error.sqlstate = "42804";
  error.message = "the result of the query does not match the column list";
  error.detail = detail.c_str();
  Call([&] { RaiseForeign(error); });
  return Status::Ok();
}

void LookRows::PutValues(const std::vector<const char*>& values) {
  static_assert(sizeof(bool) == sizeof(char));
  Call([&] {
    const MemoryContext previous = MemoryContextSwitchTo(row_context_);
    auto* inputs = static_cast<AttInMetadata*>(inputs_);
    for (std::size_t i = 0; i < datums_.size(); i++) {
      // Null as well: a domain may refuse it.
      datums_[i] = InputFunctionCall(&inputs->attinfuncs[i], const_cast<char*>(values[i]),
                                     inputs->attioparams[i], inputs->atttypmods[i]);
      nulls_[i] = values[i] == nullptr ? 1 : 0;
    }
    MemoryContextSwitchTo(previous);
    tuplestore_putvalues(info_->setResult, info_->setDesc, datums_.data(),
                         reinterpret_cast<bool*>(nulls_.data()));
    MemoryContextReset(row_context_);
    CHECK_FOR_INTERRUPTS();
  });
}

void LookRows::Put(const pg_result* rows) {
  std::vector<const char*> values(datums_.size());
  for (int row = 0; row < PQntuples(rows); row++) {
    for (std::size_t i = 0; i < values.size(); i++) {
      const int column = static_cast<int>(i);
      values[i] = PQgetisnull(rows, row, column) != 0 ? nullptr : PQgetvalue(rows, row, column);
    }
    PutValues(values);
  }
}

void LookRows::PutText(const std::string& text) { PutValues({text.c_str()}); }

Status LookRows::PutLine(std::string_view line) {
  line_ = line;
  SplitCopyLine(&line_, &values_);
  if (values_.size() != datums_.size())
    return Status(Code::kInternal, "a row of the past has other columns than were announced");
  PutValues(values_);
  return Status::Ok();
}

}  // namespace pitr::pg
