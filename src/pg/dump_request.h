// What is asked of a dump, by a session or by a schedule, as an operation that can be started.
#pragma once

#include <optional>
#include <string>

#include "core/repo/branches.h"
#include "core/repo/dumps.h"
#include "pg/operation.h"

namespace pitr::pg {

struct DumpRequest {
  OperationId id;  // empty: a new one
  DumpOptions options;
  std::string point =
      "^self";             // source[@point], in words that do not depend on settings of a session
  std::string repository;  // of CheckDumpAddress (dump_places.h); empty: pitr.repository
  std::optional<Timestamp> expires_at;
  // Who asks, for the operation and for its audit row when nobody waits for it any more.
  std::string function = "pitr_create_dump", arguments, role_name, client_addr;
  bool wait = true;
};

inline constexpr std::int32_t kMostDumpJobs = 64;
// Format, and jobs that go with it; kInvalidArgument.
Status CheckDumpOptions(const DumpOptions& options);
// Whether this server has a database of that name. THROWS ErrorInFlight.
bool HasDatabase(const std::string& name);

// For StartOperation or StartOperationNow; the dump is DumpOfOperation of its id. Its answer has "dump", "state" and "stored_bytes".
Result<NewOperation> NewDumpOperation(const DumpRequest& request, const Branch& self);

}  // namespace pitr::pg
