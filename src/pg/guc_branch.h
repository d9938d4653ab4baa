// Settings of branches that have a server of their own.
#pragma once

#include <string>

namespace pitr::pg {

struct BranchSettings {
  std::string ports;             // of ParsePortRanges
  std::string listen_addresses;  // empty: as this server
  std::string settings;          // "name=value; …"
  bool activity = false;
};

// Seconds; 0: never.
int BranchIdleTimeoutSetting();
int TimeTravelIdleTimeoutSetting();  // s
int TimeTravelMaxSetting();          // 0: off
int DiskWarnPercentSetting();        // of a file system that is used; 100: off
int DiskStopPercentSetting();

void DefineBranchSettings();  // from DefineSettings. RAISES
BranchSettings CurrentBranchSettings();
bool RequiresPreserveName();      // pitr.require_preserve_name
bool HasRestorePointBeforeDdl();  // pitr.restore_point_before_ddl

}  // namespace pitr::pg
