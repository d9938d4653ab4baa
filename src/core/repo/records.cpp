#include "core/repo/records.h"

#include <map>

#include "core/base/json.h"
#include "core/repo/catalogue.h"

namespace pitr {

namespace {

constexpr std::string_view kOperations = "operations";
constexpr std::string_view kAudit = "audit";

std::string TextOf(const Json& json, std::string_view member) {
  Result<std::optional<std::string>> text = JsonOptionalText(json, member);
  return text.ok() && text->has_value() ? **text : std::string();
}

std::int64_t IntOf(const Json& json, std::string_view member) {
  Result<std::optional<std::int64_t>> number = JsonOptionalInt(json, member);
  return number.ok() && number->has_value() ? **number : 0;
}

Lsn LsnOf(const Json& json, std::string_view member) {
  Result<Lsn> lsn = Lsn::Parse(TextOf(json, member));
  return lsn.ok() ? *lsn : Lsn{};
}

OperationRecord OperationFrom(const Json& json) {
  OperationRecord record;
  record.id = TextOf(json, "id");
  record.kind = TextOf(json, "kind");
  record.branch = TextOf(json, "branch");
  record.branch_id = TextOf(json, "branch_id");
  record.state = TextOf(json, "state");
  record.phase = TextOf(json, "phase");
  record.role_name = TextOf(json, "role_name");
  record.error = TextOf(json, "error");
  record.sqlstate = TextOf(json, "sqlstate");
  record.result = TextOf(json, "result");
  record.bytes_done = static_cast<std::uint64_t>(IntOf(json, "bytes_done"));
  record.bytes_total = static_cast<std::uint64_t>(IntOf(json, "bytes_total"));
  record.replay_lsn = LsnOf(json, "replay_lsn");
  record.target_lsn = LsnOf(json, "target_lsn");
  record.started_at = {IntOf(json, "started_at")};
  if (const std::int64_t finished = IntOf(json, "finished_at"); finished != 0) {
    record.finished_at = Timestamp{finished};
  }
  return record;
}

}  // namespace

Status AppendOperation(Repository* repo, const OperationRecord& record) {
  Json json;
  json["id"] = record.id;
  json["kind"] = record.kind;
  json["branch"] = record.branch;
  json["branch_id"] = record.branch_id;
  json["state"] = record.state;
  json["phase"] = record.phase;
  json["role_name"] = record.role_name;
  json["error"] = record.error;
  json["sqlstate"] = record.sqlstate;
  json["result"] = record.result;
  json["bytes_done"] = record.bytes_done;
  json["bytes_total"] = record.bytes_total;
  json["replay_lsn"] = record.replay_lsn.ToString();
  json["target_lsn"] = record.target_lsn.ToString();
  json["started_at"] = record.started_at.micros;
  if (record.finished_at) json["finished_at"] = record.finished_at->micros;
  Result<std::uint64_t> number = AppendLog(repo, kOperations, json);
  return number.ok() ? Status::Ok() : number.status();
}

Result<std::vector<OperationRecord>> ReadOperations(Repository* repo, std::size_t limit) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Json> entries, ReadLog(repo, kOperations, limit));
  std::vector<OperationRecord> records;
  std::map<std::string, std::size_t> place;
  for (const Json& entry : entries) {
    OperationRecord record = OperationFrom(entry);
    const auto [at, is_new] = place.emplace(record.id, records.size());
    if (is_new) {
      records.push_back(std::move(record));
    } else {
      records[at->second] = std::move(record);
    }
  }
  return records;
}

Status AppendAudit(Repository* repo, const AuditRecord& record) {
  Json json;
  json["at"] = record.at.micros;
  json["role_name"] = record.role_name;
  json["client_addr"] = record.client_addr;
  json["branch"] = record.branch;
  json["function"] = record.function;
  json["arguments"] = record.arguments;
  json["operation_id"] = record.operation_id;
  json["outcome"] = record.outcome;
  json["sqlstate"] = record.sqlstate;
  Result<std::uint64_t> number = AppendLog(repo, kAudit, json);
  return number.ok() ? Status::Ok() : number.status();
}

Result<std::vector<AuditRecord>> ReadAudit(Repository* repo, std::size_t limit) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Json> entries, ReadLog(repo, kAudit, limit));
  std::vector<AuditRecord> records;
  for (const Json& entry : entries) {
    records.push_back({{IntOf(entry, "at")},
                       TextOf(entry, "role_name"),
                       TextOf(entry, "client_addr"),
                       TextOf(entry, "branch"),
                       TextOf(entry, "function"),
                       TextOf(entry, "arguments"),
                       TextOf(entry, "operation_id"),
                       TextOf(entry, "outcome"),
                       TextOf(entry, "sqlstate")});
  }
  return records;
}

}  // namespace pitr
