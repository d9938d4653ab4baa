// Dumps that are made by themselves.
#pragma once

#include "core/repo/dumps.h"
#include "core/repo/schedules.h"
#include "pg/operation.h"

namespace pitr::pg {

struct DumpItem {
  DumpOptions options;     // without the database
  std::string repository;  // as its address was written; empty: pitr.repository
};
// The argument "options" of pitr_schedule_dump, and the item of such a schedule. kInvalidArgument.
Result<DumpItem> ParseDumpItem(const Json& item);

// Launcher: the dump that is due, as an operation of that id.
Result<NewOperation> NewScheduledDump(const Schedule& schedule, const Branch& self,
                                      const OperationId& id, Timestamp now);

}  // namespace pitr::pg
