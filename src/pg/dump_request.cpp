#include "pg/dump_request.h"

#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/row_builder.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "commands/dbcommands.h"
}

namespace pitr::pg {

Status CheckDumpOptions(const DumpOptions& options) {
  if (options.format != "custom" && options.format != "directory") {
    return Status(Code::kInvalidArgument, "format \"" + options.format + "\" is not known")
        .WithHint("Formats are custom and directory.");
  }
  if (options.jobs > 1 && options.format == "custom") {
    return Status(Code::kInvalidArgument, "the custom format is written by one job")
        .WithHint("Several jobs write format => 'directory'.");
  }
  return Status::Ok();
}

bool HasDatabase(const std::string& name) {
  const std::string there = ServerOfUtf8(name);
  return Call([&] { return OidIsValid(get_database_oid(there.c_str(), true)); });
}

Result<NewOperation> NewDumpOperation(const DumpRequest& request, const Branch& self) {
  const Timestamp now = SystemClock().Now();
  NewOperation operation;
  operation.id = request.id;
  if (operation.id.empty()) {
    PITR_ASSIGN_OR_RETURN(operation.id, NewOperationId(now.micros / 1000000));
  }
  operation.kind = kDump;
  operation.branch = self.name;
  operation.branch_id = self.id;
  operation.wait = request.wait;
  operation.role_name = request.role_name;
  DumpManifest dump;
  dump.id = DumpOfOperation(operation.id);
  dump.branch = self.id;
  dump.branch_name = self.name;
  dump.root = ServerIdentity();
  dump.options = request.options;
  dump.started_at = dump.finished_at = now;
  dump.expires_at = request.expires_at;
  Json& json = operation.request;
  json["dump"] = EncodeDump(dump, false);
  json["point"] = request.point;
  json["repository"] = request.repository;
  json["function"] = request.function;
  json["arguments"] = request.arguments;
  json["role_name"] = request.role_name;
  json["client_addr"] = request.client_addr;
  return operation;
}

}  // namespace pitr::pg
