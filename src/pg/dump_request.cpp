#include "pg/dump_request.h"

#include "core/base/json.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

Result<NewOperation> NewDumpOperation(const DumpRequest& request, const Branch& self) {
  const Timestamp now = SystemClock().Now();
  NewOperation operation;
  PITR_ASSIGN_OR_RETURN(operation.id, NewOperationId(now.micros / 1000000));
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
