// Whether this server can be restored in place at all, found out before anything is touched: the same answer for
// pitr_plan_restore and for the restore itself (rules.md 3).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/plan/restore_plan.h"
#include "pg/server_facts.h"

namespace pitr::pg {

// kNotReady (55000) with a hint: standby, restart_after_crash off, mount point, tablespaces inside the data directory, pg_wal a symlink, sockets or
// external_pid_file inside the data directory, no pitr program, exchange not possible between the two parents.
// Makes and removes two empty directories beside the data directory and in the branch directory.
Status CheckServerCanExchange();
// kNotReady listing what would break, unless `force`.
Status CheckDependants(const Dependants& dependants, const std::vector<std::string>& prepared,
                       bool force);

struct DiskNeed {
  std::string place;
  dev_t device = 0;
  std::uint64_t needed = 0, free = 0;
};
// What a replacement takes (its files without their holes, and the WAL that it replays, and a tenth on top) and what is free, for each file system: that of
// the branch directory and those of the tablespaces.
Result<std::vector<DiskNeed>> FindDiskNeeds(Repository* repo, const RestorePlan& plan);
Status CheckDiskNeeds(const std::vector<DiskNeed>& needs);

}  // namespace pitr::pg
