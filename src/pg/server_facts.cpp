#include "pg/server_facts.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/synchronous.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_control.h"
#include "catalog/pg_subscription.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
}

namespace pitr::pg {

RootIdentity ServerIdentity() {
  return {GetSystemIdentifier(), static_cast<std::uint32_t>(kServerMajor),
          static_cast<std::uint32_t>(wal_segment_size)};
}

std::string DataDirectory() { return DataDir; }

Result<std::string> RealDataDirectory() {
  char* resolved = realpath(DataDir, nullptr);
  if (resolved == nullptr)
    return Status::FromErrno(errno, std::string("resolve \"") + DataDir + "\"");
  std::string path = resolved;
  free(resolved);
  return path;
}

std::string CacheDirectory() { return JoinPath(JoinPath(DataDirectory(), "pitr"), "cache"); }

std::string BinDirectory() { return DirectoryName(my_exec_path); }

std::string PitrProgram() { return JoinPath(BinDirectory(), "pitr"); }

Result<std::string> BranchDirectory() {
  const Settings settings = CurrentSettings();
  if (!settings.branch_directory.empty()) return settings.branch_directory;
  PITR_ASSIGN_OR_RETURN(const std::string real, RealDataDirectory());
  return real + ".pitr";
}

Result<std::string> PrivateSocketDirectory(const std::string& branch_directory,
                                           const std::string& operation_id) {
  // "<directory>/.s.PGSQL.65535" must fit sockaddr_un.
  const std::size_t room = sizeof(sockaddr_un{}.sun_path) - std::strlen("/.s.PGSQL.65535.lock") - 1;
  const std::string near = JoinPath(branch_directory, operation_id.substr(operation_id.size() - 8));
  if (near.size() <= room) {
    PITR_RETURN_IF_ERROR(MakeDirectories(near));
    return near;
  }
  char path[] = "/tmp/pitr-XXXXXX";
  if (mkdtemp(path) == nullptr) return Status::FromErrno(errno, "make a socket directory in /tmp");
  return std::string(path);
}

bool InRecovery() {
  return Call([] { return RecoveryInProgress(); });
}

Lsn FlushLsn() {
  return {Call([] {
    TimeLineID timeline = 0;
    return RecoveryInProgress() ? GetXLogReplayRecPtr(&timeline) : GetFlushRecPtr(&timeline);
  })};
}

TimelineId CurrentTimeline() {
  return Call([] {
    TimeLineID timeline = 0;
    if (RecoveryInProgress()) {
      GetXLogReplayRecPtr(&timeline);
    } else {
      GetFlushRecPtr(&timeline);
    }
    return timeline;
  });
}

std::string SettingValue(const char* name) {
  const char* value = Call([&] { return GetConfigOption(name, true, false); });
  return value == nullptr ? std::string() : std::string(value);
}

namespace {

// What stands on the postmaster's command line is in no file that the replacement could read ("name=value").
Json CommandLineSettings() {
  Json list = Json::array();
  int count = 0;
  struct config_generic** settings = Call([&] { return PITR_LIST_SETTINGS(count); });
  for (int i = 0; i < count; i++) {
    if (settings[i]->source != PGC_S_ARGV || settings[i]->context == PGC_INTERNAL) continue;
    list.push_back(std::string(settings[i]->name) + "=" + SettingValue(settings[i]->name));
  }
  return list;
}

// The collector's directory, when it is inside the data directory: it moves with the exchange and is no configuration.
Json NotConfiguration() {
  const std::string directory = SettingValue("log_directory");
  if (directory.empty() || directory.front() == '/') return Json::array();
  return Json::array({directory.substr(0, directory.find('/'))});
}

}  // namespace

Result<Json> LiveServerJson() {
  Json live;
  PITR_ASSIGN_OR_RETURN(live["data_directory"], RealDataDirectory());
  live["config_file"] = ConfigFileName == nullptr ? "" : ConfigFileName;
  live["hba_file"] = HbaFileName == nullptr ? "" : HbaFileName;
  live["ident_file"] = IdentFileName == nullptr ? "" : IdentFileName;
  Json copy = Json::array();
  for (const char* name : {"ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file",
                           "ssl_crl_dir", "ssl_dh_params_file", "krb_server_keyfile"}) {
    std::string value = SettingValue(name);
    // A keytab may say of what type it is, and does in Debian's default; ones of other types are no files.
    if (value.starts_with("FILE:")) value.erase(0, 5);
    if (!value.empty() && value.front() != '/' && value.find(':') == std::string::npos)
      copy.push_back(value);
  }
  live["copy"] = copy;
  live["synchronous_standby_names"] = SettingValue("synchronous_standby_names");
  live["own_standby_names"] = OwnStandbyNames();
  live["exclude"] = NotConfiguration();
  live["options"] = CommandLineSettings();
  return live;
}

namespace {

// One role of pg_authid with what is kept over a restore; pointers live in the transaction's memory.
struct RoleRow {
  const char* name;
  const char* password;     // null: none
  const char* valid_until;  // null: for ever
  bool login;
  std::int32_t connection_limit;
};

RoleRow ReadRole(HeapTuple tuple, TupleDesc description) {
  const auto* form = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple));
  RoleRow row{pstrdup(NameStr(form->rolname)), nullptr, nullptr, form->rolcanlogin,
              form->rolconnlimit};
  bool is_null = false;
  const Datum password = heap_getattr(tuple, Anum_pg_authid_rolpassword, description, &is_null);
  if (!is_null) row.password = TextDatumGetCString(password);
  const Datum valid = heap_getattr(tuple, Anum_pg_authid_rolvaliduntil, description, &is_null);
  if (!is_null) row.valid_until = pstrdup(timestamptz_to_str(DatumGetTimestampTz(valid)));
  return row;
}

}  // namespace

Json RolesJson() {
  Json roles = Json::array();
  Relation relation = nullptr;
  SysScanDesc scan = nullptr;
  Call([&] {
    relation = table_open(AuthIdRelationId, AccessShareLock);
    scan = systable_beginscan(relation, InvalidOid, false, nullptr, 0, nullptr);
  });
  for (;;) {
    RoleRow row{};
    const bool more = Call([&] {
      HeapTuple tuple = systable_getnext(scan);
      if (!HeapTupleIsValid(tuple)) return false;
      row = ReadRole(tuple, RelationGetDescr(relation));
      return true;
    });
    if (!more) break;
    Json role;
    role["name"] = row.name;
    role["password"] = row.password == nullptr ? Json(nullptr) : Json(row.password);
    role["valid_until"] = row.valid_until == nullptr ? Json(nullptr) : Json(row.valid_until);
    role["login"] = row.login;
    role["connection_limit"] = row.connection_limit;
    roles.push_back(role);
  }
  Call([&] {
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
  });
  return roles;
}

std::string BootstrapSuperuser() {
  return Call([] { return GetUserNameFromId(BOOTSTRAP_SUPERUSERID, true); });
}

namespace {

void CountSessions(Dependants* found) {
  // The confirmer connects again by itself.
  const int confirmers = ConfirmersSender();
  Call([&] {
    pgstat_clear_backend_activity_snapshot();
    const int count = pgstat_fetch_stat_numbackends();
    for (int i = 1; i <= count; i++) {
      const LocalPgBackendStatus* local = PITR_LOCAL_BACKEND(i);
      if (local == nullptr) continue;
      if (local->backendStatus.st_backendType == B_BACKEND) found->sessions++;
      const bool is_ours = local->backendStatus.st_procpid == confirmers;
      if (local->backendStatus.st_backendType == B_WAL_SENDER && !is_ours) found->standbys++;
    }
  });
}

void ListSlots(Dependants* found) {
  for (int i = 0; i < max_replication_slots; i++) {
    char name[NAMEDATALEN] = {};
    Call([&] {
      LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
      const ReplicationSlot* slot = &ReplicationSlotCtl->replication_slots[i];
      if (slot->in_use && slot->data.persistency != RS_TEMPORARY)
        strlcpy(name, NameStr(slot->data.name), sizeof name);
      LWLockRelease(ReplicationSlotControlLock);
    });
    if (name[0] != '\0') found->replication_slots.emplace_back(name);
  }
}

void ListSubscriptions(Dependants* found) {
  Relation relation = nullptr;
  SysScanDesc scan = nullptr;
  Call([&] {
    relation = table_open(SubscriptionRelationId, AccessShareLock);
    scan = systable_beginscan(relation, InvalidOid, false, nullptr, 0, nullptr);
  });
  for (;;) {
    char name[NAMEDATALEN] = {};
    const bool more = Call([&] {
      HeapTuple tuple = systable_getnext(scan);
      if (!HeapTupleIsValid(tuple)) return false;
      strlcpy(name, NameStr(reinterpret_cast<Form_pg_subscription>(GETSTRUCT(tuple))->subname),
              sizeof name);
      return true;
    });
    if (!more) break;
    found->subscriptions.emplace_back(name);
  }
  Call([&] {
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
  });
}

}  // namespace

Dependants FindDependants(bool shared_catalogues) {
  Dependants found;
  CountSessions(&found);
  ListSlots(&found);
  if (shared_catalogues) ListSubscriptions(&found);
  return found;
}

std::int64_t CountUnlogged(const std::string& data_directory) {
  std::int64_t count = 0;
  const std::string base = JoinPath(data_directory, "base");
  Result<std::vector<std::string>> databases = ListDirectory(base);
  if (!databases.ok()) return 0;
  for (const std::string& database : *databases) {
    Result<std::vector<std::string>> files = ListDirectory(JoinPath(base, database));
    if (!files.ok()) continue;
    for (const std::string& file : *files) {
      if (file.size() > 5 && file.compare(file.size() - 5, 5, "_init") == 0) count++;
    }
  }
  return count;
}

}  // namespace pitr::pg
