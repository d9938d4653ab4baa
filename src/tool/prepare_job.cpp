// Makes an old data directory ready to come back: its own crash recovery, today's configuration, a clean stop, durable. It is the only
// copy of what it holds, so nothing is ever removed from it and its server writes with fsync as the live one does.
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/control_file.h"
#include "core/work/living_server.h"
#include "tool/durability.h"
#include "tool/held.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/live_trial.h"
#include "tool/roles.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

// Where tablespaces lie: they belong to the directory and must be as durable.
std::vector<std::string> Places(const std::string& directory) {
  std::vector<std::string> places = {directory, JoinPath(directory, "pg_wal")};
  const std::string links = JoinPath(directory, "pg_tblspc");
  const Result<std::vector<std::string>> names = ListDirectory(links);
  if (names.ok()) {
    for (const std::string& name : *names) {
      places.push_back(JoinPath(links, name));
    }
  }
  return places;
}

struct PrepareRequest {
  LiveServer live;
  TrialRequest trial;
  // Of a directory that comes in from a branch of its own: roles of today count once more.
  bool carries_roles = false;
  std::string library, superuser;
};

// REQUIRES: shut down cleanly, so that nothing is replayed which would need more libraries.
Status CarryRolesInto(const PrepareRequest& request, JobContext* context, RoleOutcome* outcome) {
  PITR_ASSIGN_OR_RETURN(const Json answer, context->Ask("roles"));
  PITR_ASSIGN_OR_RETURN(const std::vector<Role> today, ParseRoles(answer));
  const TrialRequest& trial = request.trial;
  StagingOptions options;
  options.directory = trial.directory;
  options.bin_directory = trial.bin_directory;
  const std::string hba = JoinPath(trial.directory, "pitr/roles.hba.conf");
  PITR_RETURN_IF_ERROR(WriteFileDurably(hba, AsBytes(StagingHbaText())));
  std::vector<Setting> settings = TrialSettings(request.live, trial);
  settings.insert(settings.end(), {{"hba_file", hba},
                                   {"shared_preload_libraries", request.library},
                                   {"max_worker_processes", "8"}});
  options.arguments = AsArguments(settings);
  options.environment = {{"PITR_STAGING", "1"}};
  options.log_file = JoinPath(trial.directory, "pitr/staging.log");
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<StagingServer> server, StagingServer::Start(options));
  PITR_RETURN_IF_ERROR(server->WaitReady(*context->cancel));
  {
    PITR_ASSIGN_OR_RETURN(Connection connection,
                          Connection::Open({trial.socket_directory,
                                            trial.port,
                                            SuperuserCandidates(request.superuser),
                                            {"postgres", "template1"}}));
    PITR_ASSIGN_OR_RETURN(
        *outcome, CarryRoles(&connection, today, request.superuser, true, *context->cancel));
    PITR_RETURN_IF_ERROR(connection.Run("CHECKPOINT", *context->cancel));
  }
  PITR_RETURN_IF_ERROR(server->Stop(StopMode::kFast, *context->cancel));
  PITR_RETURN_IF_ERROR(RemoveFile(hba));
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(trial.directory, "postmaster.opts")));
  return CheckShutDown(trial.directory);
}

Status Prepare(const PrepareRequest& request, JobContext* context, RoleOutcome* outcome) {
  const TrialRequest& trial = request.trial;
  context->output->Phase("recover");
  if (const auto other = LivingServer(trial.directory)) {
    return Status(Code::kInUse, "a server runs in \"" + trial.directory + "\" (pid " +
                                    std::to_string(*other) + ")");
  }
  // After an exchange it names the live server.
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(trial.directory, "postmaster.pid")));
  PITR_ASSIGN_OR_RETURN(FileSystems file_systems, FileSystems::Open(Places(trial.directory)));
  PITR_RETURN_IF_ERROR(MakeDirectories(JoinPath(trial.directory, "pitr")));
  PITR_RETURN_IF_ERROR(MakeSocketDirectory(trial.socket_directory));
  PITR_RETURN_IF_ERROR(TakeOverLiveFiles(request.live, trial.directory));
  Status tried = TryLiveSettings(request.live, trial, *context->cancel);
  if (tried.ok() && request.carries_roles) tried = CarryRolesInto(request, context, outcome);
  RemoveSocketDirectory(trial.socket_directory);
  PITR_RETURN_IF_ERROR(tried);
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(trial.directory, "pitr/staging.log")));
  context->output->Phase("sync");
  return file_systems.Sync();
}

}  // namespace

Result<Json> RunPrepareJob(const Json& job, JobContext* context) {
  PrepareRequest request;
  TrialRequest& trial = request.trial;
  PITR_ASSIGN_OR_RETURN(trial.directory, JsonText(job, "directory"));
  PITR_ASSIGN_OR_RETURN(trial.bin_directory, JsonText(job, "bin_directory"));
  PITR_ASSIGN_OR_RETURN(trial.socket_directory, JsonText(job, "socket_directory"));
  PITR_ASSIGN_OR_RETURN(trial.port, JsonNumberOr<int>(job, "port", trial.port));
  trial.keep_fsync = true;
  PITR_ASSIGN_OR_RETURN(request.live, ParseLiveServer(job));
  request.carries_roles = job.value("carry_roles", false);
  if (request.carries_roles) {
    PITR_ASSIGN_OR_RETURN(request.library, JsonText(job, "library"));
    PITR_ASSIGN_OR_RETURN(request.superuser, JsonText(job, "superuser"));
  }
  RoleOutcome roles;
  PITR_RETURN_IF_ERROR(Prepare(request, context, &roles));
  for (const std::string& note : roles.notes) {
    context->output->Log(LogLevel::kInfo, note);
  }
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(trial.directory));
  Json line;
  line["built"]["timeline"] = control.timeline;
  line["built"]["end_lsn"] = control.checkpoint.ToString();
  line["built"]["roles_gone"] = roles.gone;
  line["built"]["roles_disabled"] = roles.disabled;
  return line;
}

}  // namespace pitr::tool
