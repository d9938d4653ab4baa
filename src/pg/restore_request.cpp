#include "pg/restore_request.h"
#include "core/base/json.h"

#include <vector>

namespace pitr::pg {

Json RequestToJson(const RestoreRequest& request) {
  Json json;
  json["self"] = request.plan.self;
  json["source"] = request.plan.source;
  json["kind"] = static_cast<int>(request.plan.point.kind);
  json["time"] = request.plan.point.time.micros;
  json["lsn"] = request.plan.point.lsn.ToString();
  json["xid"] = request.plan.point.xid;
  json["name"] = request.plan.point.name;
  json["bare"] = request.plan.bare;
  json["inclusive"] = request.plan.inclusive;
  json["for_new_branch"] = request.plan.for_new_branch;
  json["undo_name"] = request.undo_name;
  json["preserve"] = request.preserve;
  json["keep_passwords"] = request.keep_passwords;
  json["force"] = request.force;
  json["below_backup"] = request.below_backup;
  json["finalize"] = request.finalize;
  json["target"] = request.target;
  json["reset"] = request.reset;
  json["function"] = request.function;
  json["arguments"] = request.arguments;
  json["role_name"] = request.role_name;
  json["client_addr"] = request.client_addr;
  return json;
}

Result<RestoreRequest> RequestFromJson(const Json& json) {
  RestoreRequest request;
  PITR_ASSIGN_OR_RETURN(request.plan.self, JsonText(json, "self"));
  PITR_ASSIGN_OR_RETURN(request.plan.source, JsonText(json, "source"));
  PITR_ASSIGN_OR_RETURN(const std::int64_t kind, JsonInt(json, "kind"));
  request.plan.point.kind = static_cast<Point::Kind>(kind);
  PITR_ASSIGN_OR_RETURN(request.plan.point.time.micros, JsonInt(json, "time"));
  PITR_ASSIGN_OR_RETURN(const std::string lsn, JsonText(json, "lsn"));
  PITR_ASSIGN_OR_RETURN(request.plan.point.lsn, Lsn::Parse(lsn));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t xid, JsonUint(json, "xid"));
  request.plan.point.xid = static_cast<Xid>(xid);
  PITR_ASSIGN_OR_RETURN(request.plan.point.name, JsonText(json, "name"));
  PITR_ASSIGN_OR_RETURN(request.plan.bare, JsonBool(json, "bare"));
  PITR_ASSIGN_OR_RETURN(request.plan.inclusive, JsonBool(json, "inclusive"));
  PITR_ASSIGN_OR_RETURN(request.plan.for_new_branch, JsonBool(json, "for_new_branch"));
  PITR_ASSIGN_OR_RETURN(request.undo_name, JsonText(json, "undo_name"));
  PITR_ASSIGN_OR_RETURN(request.preserve, JsonBool(json, "preserve"));
  PITR_ASSIGN_OR_RETURN(request.keep_passwords, JsonBool(json, "keep_passwords"));
  PITR_ASSIGN_OR_RETURN(request.force, JsonBool(json, "force"));
  PITR_ASSIGN_OR_RETURN(request.below_backup, JsonBool(json, "below_backup"));
  PITR_ASSIGN_OR_RETURN(request.finalize, JsonBool(json, "finalize"));
  PITR_ASSIGN_OR_RETURN(request.target, JsonText(json, "target"));
  PITR_ASSIGN_OR_RETURN(request.reset, JsonBool(json, "reset"));
  PITR_ASSIGN_OR_RETURN(request.function, JsonText(json, "function"));
  PITR_ASSIGN_OR_RETURN(request.arguments, JsonText(json, "arguments"));
  PITR_ASSIGN_OR_RETURN(request.role_name, JsonText(json, "role_name"));
  PITR_ASSIGN_OR_RETURN(request.client_addr, JsonText(json, "client_addr"));
  request.plan.now = SystemClock().Now();
  return request;
}

Json PlanToJson(const RestorePlan& plan) {
  Json settings;
  settings["max_connections"] = plan.settings.max_connections;
  settings["max_worker_processes"] = plan.settings.max_worker_processes;
  settings["max_wal_senders"] = plan.settings.max_wal_senders;
  settings["max_prepared_transactions"] = plan.settings.max_prepared_transactions;
  settings["max_locks_per_transaction"] = plan.settings.max_locks_per_transaction;
  Json json;
  json["line"] = plan.line;
  json["timeline"] = plan.timeline;
  json["record_start"] = plan.record_start.ToString();
  json["record_end"] = plan.record_end.ToString();
  json["snapshot"] = plan.snapshot;
  json["wal_from"] = plan.wal_from.ToString();
  json["wal_bytes"] = plan.wal_bytes;
  json["settings"] = settings;
  json["custom_resource_managers"] = plan.custom_resource_managers;
  return json;
}

}  // namespace pitr::pg
