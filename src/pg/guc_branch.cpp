#include "pg/guc_branch.h"

#include "core/work/branch_ports.h"
#include "pg/guc.h"
#include "pg/guc_check.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "utils/guc.h"
}

namespace pitr::pg {

namespace {

constinit char* ports = nullptr;
constinit char* listen_addresses = nullptr;
constinit char* branch_settings = nullptr;
constinit bool activity = false;
constinit int idle_timeout = 0;
constinit int time_travel_idle_timeout = 0;
constinit int time_travel_max = 0;
constinit int disk_warn_percent = 0;
constinit int disk_stop_percent = 0;
constinit bool require_preserve_name = false;
constinit bool restore_point_before_ddl = false;

std::string Text(const char* value) { return value != nullptr ? value : ""; }

extern "C" {

static bool CheckPortsHook(char** value, void**, GucSource) {
  return CheckTextSetting(*value,
                          [](std::string_view text) { return ParsePortRanges(text).status(); });
}

static bool CheckBranchSettingsHook(char** value, void**, GucSource) {
  return CheckTextSetting(*value, CheckRecoverySettings);
}
}

}  // namespace

void DefineBranchSettings() {
  DefineCustomBoolVariable(
      "pitr.branch_activity", "Branches run subscriptions and jobs like their source.",
      "Off: no logical replication workers and no pg_cron jobs in a branch's server.", &activity,
      false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("pitr.branch_idle_timeout",
                          "How long nobody is connected before a branch's server is stopped, until "
                          "somebody is; 0: for ever.",
                          "Read by the servers of branches.", &idle_timeout, 300, 0, INT_MAX / 1000,
                          PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "pitr.disk_stop_percent",
      "How full the file system of the branch directory may be before servers of the past end and "
      "those of branches stop; 100: only the last bit is kept free.",
      nullptr, &disk_stop_percent, 90, 1, 100, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "pitr.disk_warn_percent",
      "How full the file system of the data directory or the branch directory may be before the "
      "log and pitr_status say so; 100: never.",
      nullptr, &disk_warn_percent, 80, 1, 100, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("pitr.branch_listen_addresses",
                             "Addresses that servers of branches listen on; empty: as this server.",
                             nullptr, &listen_addresses, "", PGC_SIGHUP, 0, nullptr, nullptr,
                             nullptr);
  DefineCustomStringVariable("pitr.branch_ports", "Ports for servers of branches.",
                             "Ranges and single ports, separated by commas.", &ports, "6000-6099",
                             PGC_SIGHUP, 0, CheckPortsHook, nullptr, nullptr);
  DefineCustomStringVariable("pitr.branch_settings",
                             "What servers of branches have otherwise: \"name=value; ...\".",
                             nullptr, &branch_settings, "shared_buffers=128MB; max_connections=50",
                             PGC_SIGHUP, 0, CheckBranchSettingsHook, nullptr, nullptr);
  DefineCustomBoolVariable(
      "pitr.require_preserve_name",
      "A restore to a branch's own history, or of a branch with children, needs "
      "preserve_under_name.",
      nullptr, &require_preserve_name, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("pitr.time_travel_idle_timeout",
                          "How long nobody reads from a server at a point of the past before it is "
                          "removed.",
                          nullptr, &time_travel_idle_timeout, 30, 1, 86400, PGC_SIGHUP, GUC_UNIT_S,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "pitr.time_travel_max", "How many servers at points of the past there are at once; 0: none.",
      nullptr, &time_travel_max, 4, 0, 64, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable(
      "pitr.restore_point_before_ddl", "A named restore point is written before DDL.", nullptr,
      &restore_point_before_ddl, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
}

int BranchIdleTimeoutSetting() { return idle_timeout; }
int TimeTravelIdleTimeoutSetting() { return time_travel_idle_timeout; }
int TimeTravelMaxSetting() { return time_travel_max; }
int DiskWarnPercentSetting() { return disk_warn_percent; }
int DiskStopPercentSetting() { return disk_stop_percent; }

BranchSettings CurrentBranchSettings() {
  return {Text(ports), Text(listen_addresses), Text(branch_settings), activity};
}

bool RequiresPreserveName() { return require_preserve_name; }

bool HasRestorePointBeforeDdl() { return restore_point_before_ddl; }

}  // namespace pitr::pg
