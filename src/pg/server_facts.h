// What the running server knows about itself and the core wants as plain values: positions, directories, settings, roles,
// sessions. Every function may THROW ErrorInFlight.
#pragma once

#include <string>
#include <vector>

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/types/ids.h"
#include "core/types/wal_name.h"

namespace pitr::pg {

RootIdentity ServerIdentity();
std::string DataDirectory();              // as the server writes it (absolute)
Result<std::string> RealDataDirectory();  // symlinks resolved
// <data directory>/pitr/cache: what may be forgotten at any time; in no snapshot.
std::string CacheDirectory();
std::string BinDirectory();
std::string PitrProgram();  // <bin directory>/pitr
// pitr.branch_directory or "<real data directory>.pitr".
Result<std::string> BranchDirectory();
// A directory for private sockets whose path fits sun_path: below the branch directory, else made in /tmp (0700).
Result<std::string> PrivateSocketDirectory(const std::string& branch_directory,
                                           const std::string& operation_id);

bool InRecovery();
Lsn FlushLsn();  // replay position on a standby
TimelineId CurrentTimeline();
// A setting's value as SHOW prints it; empty when it does not exist.
std::string SettingValue(const char* name);

// {"data_directory":…,"config_file":…,"hba_file":…,"ident_file":…,"copy":[…],"synchronous_standby_names":…,
// "own_standby_names":…} for jobs.
Result<Json> LiveServerJson();
// [{"name":…,"password":…|null,"valid_until":…|null,"login":…,"connection_limit":…}]: all roles of now. REQUIRES: a
// transaction, shared catalogues readable.
Json RolesJson();
// Name of the bootstrap superuser (oid 10). REQUIRES: a transaction.
std::string BootstrapSuperuser();

// What an exchange would break (rules.md 3).
struct Dependants {
  int sessions = 0, standbys = 0;
  std::vector<std::string> replication_slots, subscriptions;
};
// `shared_catalogues`: in a transaction, so that subscriptions can be read.
Dependants FindDependants(bool shared_catalogues);
// Init forks of unlogged relations on disk.
std::int64_t CountUnlogged(const std::string& data_directory);

}  // namespace pitr::pg
