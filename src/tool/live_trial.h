// A finished directory takes over the live server's configuration and is started once with it, before it may ever become the live
// one: what would fail after an exchange fails here (internals 9).
#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "tool/staging_config.h"

namespace pitr::tool {

struct LiveServer {
  std::string data_directory;
  std::string config_file, hba_file, ident_file;
  std::vector<std::string> copy;  // configuration files that settings name, relative or absolute
  std::vector<std::string>
      exclude;  // top-level entries that are not configuration, e.g. the log directory
  std::string synchronous_standby_names;
  std::string own_standby_names;     // of those, the ones that come back by themselves
  std::vector<std::string> options;  // "name=value" from the live server's command line
};

// The member "live" of a job.
Result<LiveServer> ParseLiveServer(const Json& job);

struct TrialRequest {
  std::string directory, bin_directory, socket_directory;
  int port = 5432;
  bool keep_fsync = false;  // the directory is the only copy of what it holds
};

// What a server has that is started like the live one on the directory, on a private socket.
std::vector<Setting> TrialSettings(const LiveServer& live, const TrialRequest& request);
Status TakeOverLiveFiles(const LiveServer& live, const std::string& directory);
// Starts with the live server's settings, waits until it is ready, stops it cleanly; pg_control then says "shut down". Leaves no
// socket and no postmaster.opts. Not fsynced.
Status TryLiveSettings(const LiveServer& live, const TrialRequest& request,
                       const CancelToken& cancel);

// pg_control says that the server of `directory` was shut down cleanly; else kInternal with the state.
Status CheckShutDown(const std::string& directory);
// The folder for sockets, 0700; refuses a path too long for a socket address.
Status MakeSocketDirectory(const std::string& directory);

}  // namespace pitr::tool
