// No connection is made to the tried server: its pg_hba.conf is the live one's and may want a password; "ready" in postmaster.pid
// and the shutdown checkpoint say what is to be known.
#include "tool/live_trial.h"

#include <sys/un.h>
#include <unistd.h>

#include <cstdio>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/control_file.h"
#include "core/work/live_files.h"
#include "tool/job_fields.h"
#include "tool/staging_config.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

// "/.s.PGSQL.65535.lock" and the closing zero.
constexpr std::size_t kSocketNameSize = 21;

}  // namespace

Result<LiveServer> ParseLiveServer(const Json& job) {
  const Json* json = JsonObject(job, "live");
  if (json == nullptr) {
    return Status(Code::kCorrupt, "member \"live\" is missing");
  }
  LiveServer live;
  PITR_ASSIGN_OR_RETURN(live.data_directory, JsonText(*json, "data_directory"));
  PITR_ASSIGN_OR_RETURN(live.config_file, JsonText(*json, "config_file"));
  PITR_ASSIGN_OR_RETURN(live.hba_file, JsonText(*json, "hba_file"));
  PITR_ASSIGN_OR_RETURN(live.ident_file, JsonText(*json, "ident_file"));
  PITR_ASSIGN_OR_RETURN(live.copy, JsonTexts(*json, "copy"));
  PITR_ASSIGN_OR_RETURN(live.exclude, JsonTexts(*json, "exclude"));
  PITR_ASSIGN_OR_RETURN(live.options, JsonTexts(*json, "options"));
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> standbys,
                        JsonOptionalText(*json, "synchronous_standby_names"));
  live.synchronous_standby_names = standbys.value_or("");
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> own,
                        JsonOptionalText(*json, "own_standby_names"));
  live.own_standby_names = own.value_or("");
  return live;
}

Status TakeOverLiveFiles(const LiveServer& live, const std::string& directory) {
  LiveFilesOptions options;
  options.live_directory = live.data_directory;
  options.directory = directory;
  options.named = live.copy;
  options.named.insert(options.named.end(), {live.config_file, live.hba_file, live.ident_file});
  options.excluded = live.exclude;
  options.synchronous_standby_names = live.synchronous_standby_names;
  options.own_standby_names = live.own_standby_names;
  return CopyLiveFiles(options).Prefix("configuration of the running server");
}

std::vector<Setting> TrialSettings(const LiveServer& live, const TrialRequest& request) {
  LiveSettings settings;
  settings.directory = request.directory;
  settings.config_file =
      PathInReplacement(live.config_file, live.data_directory, request.directory);
  settings.hba_file = PathInReplacement(live.hba_file, live.data_directory, request.directory);
  settings.ident_file = PathInReplacement(live.ident_file, live.data_directory, request.directory);
  settings.socket_directory = request.socket_directory;
  settings.port = request.port;
  settings.keep_fsync = request.keep_fsync;
  settings.options = live.options;
  return LiveTrialSettings(settings);
}

Status TryLiveSettings(const LiveServer& live, const TrialRequest& request,
                       const CancelToken& cancel) {
  StagingOptions options;
  options.directory = request.directory;
  options.bin_directory = request.bin_directory;
  options.arguments = AsArguments(TrialSettings(live, request));
  options.environment = {{"PITR_STAGING", "1"}};
  options.log_file = JoinPath(JoinPath(request.directory, "pitr"), "staging.log");
  constexpr std::string_view kWhat = "trial start with the live server's settings";
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<StagingServer> server, StagingServer::Start(options));
  Status ready = server->WaitReady(cancel);
  if (!ready.ok()) {
    return std::move(ready).Prefix(kWhat);
  }
  Status stopped = server->Stop(StopMode::kFast, cancel);
  if (!stopped.ok()) {
    return std::move(stopped).Prefix(kWhat);
  }
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(request.directory, "postmaster.opts")));
  return CheckShutDown(request.directory);
}

Status CheckShutDown(const std::string& directory) {
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(directory));
  if (control.state == ClusterState::kShutDown) {
    return Status::Ok();
  }
  return Status(Code::kInternal, "\"" + directory + "\" was not shut down cleanly: state " +
                                     std::to_string(static_cast<int>(control.state)));
}

Status MakeSocketDirectory(const std::string& directory) {
  if (directory.size() + kSocketNameSize > sizeof(sockaddr_un::sun_path)) {
    return Status(Code::kInvalidArgument,
                  "the path of the socket directory is too long: \"" + directory + "\"");
  }
  return MakeDirectories(directory);
}

}  // namespace pitr::tool
