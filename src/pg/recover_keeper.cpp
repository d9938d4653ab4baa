#include "pg/recover_keeper.h"

#include <algorithm>

#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/error_map.h"
#include "pg/in_transaction.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/synchronous.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kMaxMarker = 100;
// One that could not be tidied up after is left alone for a while.
constexpr std::int64_t kAgainMicros = 600'000'000;
constinit char tried[kMaxMarker + 1] = {};  // what the marker said
constinit std::int64_t tried_at = 0;

}  // namespace

bool IsRecovery(std::string_view kind) { return kind == kRecover || kind == kRecoverTidy; }

std::string RecoverMarker() { return JoinPath(DataDirectory(), "pitr/recovering"); }

Json OwnServerJson() {
  BeginTransaction();
  const ReplicationTarget own = OwnReplicationTarget();
  EndTransaction();
  Json json;
  json["host"] = own.host;
  json["port"] = own.port;
  json["user"] = own.user;
  return json;
}

Status TidyRecovered(const BranchSet& branches, const Identity& identity) {
  const Result<std::string> marker = ReadTextFile(RecoverMarker(), kMaxMarker);
  if (!marker.ok()) return Status::Ok();
  const std::int64_t now = SystemClock().Now().micros;
  const std::vector<OperationSlot> slots = AllOperations();
  const bool is_at_work = std::any_of(slots.begin(), slots.end(), [](const OperationSlot& slot) {
    return slot.finished_at == 0 && IsRecovery(slot.kind);
  });
  const Branch* self = branches.FindId(identity.branch_id);
  const bool is_again = *marker == tried && now < tried_at + kAgainMicros;
  if (is_at_work || is_again || InRecovery() || self == nullptr) return Status::Ok();
  NewOperation operation;
  operation.kind = kRecoverTidy;
  operation.branch = self->name;
  operation.branch_id = self->id;
  operation.wait = false;
  const Result<std::string> started = StartOperationNow(operation);
  if (started.ok()) {
    CopyText(*marker, tried, sizeof tried);
    tried_at = now;
    return Status::Ok();
  }
  // No slot, no worker: the next sweep may have more luck.
  const Code code = started.status().code();
  return code == Code::kLockTimeout || code == Code::kLimit ? Status::Ok() : started.status();
}

}  // namespace pitr::pg
