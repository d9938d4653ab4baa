// Makes an old data directory ready to come back: its own crash recovery, today's configuration, a clean stop, durable. It is the only
// copy of what it holds, so nothing is ever removed from it and its server writes with fsync as the live one does.
#include "core/base/file.h"
#include "core/work/control_file.h"
#include "core/work/living_server.h"
#include "tool/durability.h"
#include "tool/held.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/live_trial.h"
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

Status Prepare(const LiveServer& live, const TrialRequest& trial, JobContext* context) {
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
  PITR_RETURN_IF_ERROR(TakeOverLiveFiles(live, trial.directory));
  const Status tried = TryLiveSettings(live, trial, *context->cancel);
  RemoveSocketDirectory(trial.socket_directory);
  PITR_RETURN_IF_ERROR(tried);
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(trial.directory, "pitr/staging.log")));
  context->output->Phase("sync");
  return file_systems.Sync();
}

}  // namespace

Result<Json> RunPrepareJob(const Json& job, JobContext* context) {
  TrialRequest trial;
  PITR_ASSIGN_OR_RETURN(trial.directory, JsonText(job, "directory"));
  PITR_ASSIGN_OR_RETURN(trial.bin_directory, JsonText(job, "bin_directory"));
  PITR_ASSIGN_OR_RETURN(trial.socket_directory, JsonText(job, "socket_directory"));
  PITR_ASSIGN_OR_RETURN(trial.port, JsonNumberOr<int>(job, "port", trial.port));
  trial.keep_fsync = true;
  PITR_ASSIGN_OR_RETURN(const LiveServer live, ParseLiveServer(job));
  PITR_RETURN_IF_ERROR(Prepare(live, trial, context));
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(trial.directory));
  Json line;
  line["built"]["timeline"] = control.timeline;
  line["built"]["end_lsn"] = control.checkpoint.ToString();
  return line;
}

}  // namespace pitr::tool
