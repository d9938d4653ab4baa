#include "core/repo/drills.h"

#include "core/base/json.h"
#include "core/repo/catalogue.h"

namespace pitr {

namespace {

constexpr std::string_view kLog = "drills";

template <typename Value>
Json OrNull(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Result<std::optional<bool>> OptionalBool(const Json& json, std::string_view member) {
  const auto found = json.find(member);
  if (found == json.end() || found->is_null()) return std::optional<bool>();
  PITR_ASSIGN_OR_RETURN(const bool value, JsonBool(json, member));
  return std::optional<bool>(value);
}

Result<DrillRecord> Decode(const Json& json) {
  DrillRecord record;
  PITR_ASSIGN_OR_RETURN(record.id, JsonText(json, "id"));
  PITR_ASSIGN_OR_RETURN(record.branch_id, JsonText(json, "branch_id"));
  PITR_ASSIGN_OR_RETURN(record.started_at.micros, JsonInt(json, "started_at"));
  PITR_ASSIGN_OR_RETURN(record.passed, JsonBool(json, "passed"));
  PITR_ASSIGN_OR_RETURN(const std::string lsn, JsonText(json, "point_lsn"));
  PITR_ASSIGN_OR_RETURN(record.point_lsn, Lsn::Parse(lsn));
  PITR_ASSIGN_OR_RETURN(const auto time, JsonOptionalInt(json, "point_time"));
  if (time) record.point_time = Timestamp{*time};
  PITR_ASSIGN_OR_RETURN(record.restore_micros, JsonOptionalInt(json, "restore_micros"));
  PITR_ASSIGN_OR_RETURN(record.first_query_micros, JsonOptionalInt(json, "first_query_micros"));
  PITR_ASSIGN_OR_RETURN(record.data_loss_micros, JsonOptionalInt(json, "data_loss_micros"));
  PITR_ASSIGN_OR_RETURN(record.amcheck_ok, OptionalBool(json, "amcheck_ok"));
  PITR_ASSIGN_OR_RETURN(record.checksums_ok, OptionalBool(json, "checksums_ok"));
  PITR_ASSIGN_OR_RETURN(record.queries_ok, OptionalBool(json, "queries_ok"));
  PITR_ASSIGN_OR_RETURN(record.relations, JsonOptionalInt(json, "relations"));
  PITR_ASSIGN_OR_RETURN(record.row_count, JsonOptionalInt(json, "row_count"));
  PITR_ASSIGN_OR_RETURN(record.row_count_expected, JsonOptionalInt(json, "row_count_expected"));
  PITR_ASSIGN_OR_RETURN(record.detail, JsonText(json, "detail"));
  return record;
}

}  // namespace

Status AppendDrill(Repository* repo, const DrillRecord& record) {
  Json json;
  json["id"] = record.id;
  json["branch_id"] = record.branch_id;
  json["started_at"] = record.started_at.micros;
  json["passed"] = record.passed;
  json["point_lsn"] = record.point_lsn.ToString();
  json["point_time"] = record.point_time ? Json(record.point_time->micros) : Json(nullptr);
  json["restore_micros"] = OrNull(record.restore_micros);
  json["first_query_micros"] = OrNull(record.first_query_micros);
  json["data_loss_micros"] = OrNull(record.data_loss_micros);
  json["amcheck_ok"] = OrNull(record.amcheck_ok);
  json["checksums_ok"] = OrNull(record.checksums_ok);
  json["queries_ok"] = OrNull(record.queries_ok);
  json["relations"] = OrNull(record.relations);
  json["row_count"] = OrNull(record.row_count);
  json["row_count_expected"] = OrNull(record.row_count_expected);
  json["detail"] = record.detail;
  return AppendLog(repo, kLog, json).status();
}

Result<std::vector<DrillRecord>> ReadDrills(Repository* repo, std::size_t limit) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Json> entries, ReadLog(repo, kLog, limit));
  std::vector<DrillRecord> records;
  for (const Json& entry : entries) {
    PITR_ASSIGN_OR_RETURN(DrillRecord record, Decode(entry));
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace pitr
