// From JSON to a build and back.
#include "tool/build_job.h"
#include "core/base/json.h"

#include "tool/branch_settings.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/schema_copy.h"

namespace pitr::tool {

namespace {

Result<ControlSettings> ParseSettingsOfPlan(const Json& plan) {
  const Json* json = JsonObject(plan, "settings");
  if (json == nullptr) {
    return Status(Code::kCorrupt, "member \"settings\" is missing");
  }
  ControlSettings settings;
  const std::pair<const char*, std::int32_t*> numbers[] = {
      {"max_connections", &settings.max_connections},
      {"max_worker_processes", &settings.max_worker_processes},
      {"max_wal_senders", &settings.max_wal_senders},
      {"max_prepared_transactions", &settings.max_prepared_transactions},
      {"max_locks_per_transaction", &settings.max_locks_per_transaction},
  };
  for (const auto& [member, field] : numbers) {
    PITR_ASSIGN_OR_RETURN(*field, JsonNumber<std::int32_t>(*json, member));
  }
  return settings;
}

Status ParsePlan(const Json& job, BuildRequest* request) {
  const Json* plan = JsonObject(job, "plan");
  if (plan == nullptr) {
    return Status(Code::kCorrupt, "member \"plan\" is missing");
  }
  PITR_ASSIGN_OR_RETURN(request->line, JsonText(*plan, "line"));
  PITR_ASSIGN_OR_RETURN(request->timeline, JsonNumber<TimelineId>(*plan, "timeline"));
  PITR_ASSIGN_OR_RETURN(request->record_start, JsonLsn(*plan, "record_start"));
  PITR_ASSIGN_OR_RETURN(request->record_end, JsonLsn(*plan, "record_end"));
  PITR_ASSIGN_OR_RETURN(request->wal_from, JsonLsn(*plan, "wal_from"));
  PITR_ASSIGN_OR_RETURN(request->snapshot, JsonText(*plan, "snapshot"));
  PITR_ASSIGN_OR_RETURN(request->wal_bytes, JsonUint(*plan, "wal_bytes"));
  PITR_ASSIGN_OR_RETURN(request->settings, ParseSettingsOfPlan(*plan));
  return Status::Ok();
}

Status ParseMeans(const Json& job, BuildRequest* request) {
  PITR_ASSIGN_OR_RETURN(request->bin_directory, JsonText(job, "bin_directory"));
  PITR_ASSIGN_OR_RETURN(request->program, JsonText(job, "program"));
  PITR_ASSIGN_OR_RETURN(request->socket_directory, JsonText(job, "socket_directory"));
  PITR_ASSIGN_OR_RETURN(request->port, JsonNumberOr<int>(job, "port", request->port));
  PITR_ASSIGN_OR_RETURN(request->workers, JsonNumberOr<int>(job, "workers", request->workers));
  PITR_ASSIGN_OR_RETURN(request->read_ahead_bytes, JsonUint(job, "read_ahead_bytes"));
  PITR_ASSIGN_OR_RETURN(const auto settings, JsonOptionalText(job, "recovery_settings"));
  PITR_ASSIGN_OR_RETURN(const auto preload, JsonOptionalText(job, "preload_libraries"));
  PITR_ASSIGN_OR_RETURN(const auto superuser, JsonOptionalText(job, "superuser"));
  request->recovery_settings = settings.value_or("");
  request->preload_libraries = preload.value_or("");
  request->superuser = superuser.value_or("");
  PITR_ASSIGN_OR_RETURN(const auto library, JsonOptionalText(job, "library"));
  request->library = library.value_or("");
  if (const Json* demand = JsonObject(job, "demand_load")) {
    request->demand_load = true;
    PITR_ASSIGN_OR_RETURN(request->fetch_workers, JsonNumberOr<int>(*demand, "fetch_workers", 0));
  }
  PITR_ASSIGN_OR_RETURN(request->branch, JsonText(job, "branch"));
  request->has_own_tablespaces = true;
  return Status::Ok();
}

// Speaks to the worker on behalf of the build.
class WorkerClient final : public BuildClient {
 public:
  explicit WorkerClient(JobContext* context) : context_(context) {}
  Progress* progress() override { return context_->output; }
  void ReplayedTo(Lsn lsn) noexcept override { context_->output->ReplayedTo(lsn); }
  void Note(const std::string& text) override { context_->output->Log(LogLevel::kInfo, text); }
  Result<std::optional<std::vector<Role>>> RolesOfToday() override {
    PITR_ASSIGN_OR_RETURN(const Json answer, context_->Ask("roles"));
    if (answer["roles"].is_null()) {
      return std::optional<std::vector<Role>>();
    }
    PITR_ASSIGN_OR_RETURN(std::vector<Role> roles, ParseRoles(answer));
    return std::optional<std::vector<Role>>(std::move(roles));
  }

 private:
  JobContext* context_;
};

}  // namespace

std::unique_ptr<BuildClient> WorkerClientOf(JobContext* context) {
  return std::make_unique<WorkerClient>(context);
}

Result<BuildRequest> ParseBuildJob(const Json& job) {
  BuildRequest request;
  PITR_ASSIGN_OR_RETURN(request.repository, AccessFrom(job));
  PITR_ASSIGN_OR_RETURN(request.directory, JsonText(job, "directory"));
  const Json* identity = JsonObject(job, "identity");
  if (identity == nullptr) {
    return Status(Code::kCorrupt, "member \"identity\" is missing");
  }
  request.identity = DumpJson(*identity, 1) + "\n";
  PITR_RETURN_IF_ERROR(ParsePlan(job, &request));
  PITR_RETURN_IF_ERROR(ParseMeans(job, &request));
  PITR_ASSIGN_OR_RETURN(request.keep_passwords, JsonBool(job, "keep_passwords"));
  PITR_ASSIGN_OR_RETURN(request.live, ParseLiveServer(job));
  PITR_ASSIGN_OR_RETURN(request.branch_settings, ParseBranchSettings(job));
  if (const Json* masking = JsonObject(job, "masking")) {
    request.masking.emplace();
    PITR_ASSIGN_OR_RETURN(request.masking->script, JsonText(*masking, "script"));
    PITR_ASSIGN_OR_RETURN(request.masking->role, JsonText(*masking, "role"));
    PITR_ASSIGN_OR_RETURN(request.masking->database, JsonText(*masking, "database"));
  }
  return request;
}

Json BuiltLine(const BuildResult& result) {
  Json line;
  Json& built = line["built"];
  built["timeline"] = result.timeline;
  built["roles_gone"] = result.roles.gone;
  built["roles_disabled"] = result.roles.disabled;
  built["prepared_transactions"] = result.prepared_transactions;
  built["incomplete_bytes"] = result.incomplete_bytes;
  built["replay_ms"] = result.replay_ms;
  return line;
}

Result<Json> RunSchemaJob(const Json& job, JobContext* context) {
  SchemaCopy copy;
  PITR_ASSIGN_OR_RETURN(copy.source, ParseBuildJob(job));
  const Json* schema = JsonObject(job, "schema");
  if (schema == nullptr) {
    return Status(Code::kCorrupt, "member \"schema\" is missing");
  }
  PITR_ASSIGN_OR_RETURN(copy.directory, JsonText(*schema, "directory"));
  PITR_ASSIGN_OR_RETURN(copy.preload_libraries, JsonText(*schema, "preload_libraries"));
  WorkerClient client(context);
  PITR_ASSIGN_OR_RETURN(const std::uint64_t system, CopySchema(copy, &client, *context->cancel));
  Json line;
  line["built"]["system_identifier"] = std::to_string(system);
  return line;
}

Result<Json> RunLookJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const BuildRequest request, ParseBuildJob(job));
  const Json* look = JsonObject(job, "look");
  if (look == nullptr) {
    return Status(Code::kCorrupt, "member \"look\" is missing");
  }
  LookPlace place;
  PITR_ASSIGN_OR_RETURN(place.host, JsonText(*look, "host"));
  PITR_ASSIGN_OR_RETURN(place.log, JsonText(*look, "log"));
  PITR_ASSIGN_OR_RETURN(place.goes_on, JsonBool(*look, "goes_on"));
  WorkerClient client(context);
  PITR_ASSIGN_OR_RETURN(const BuildResult result,
                        BuildLook(request, place, &client, *context->cancel));
  Json line = BuiltLine(result);
  line["built"]["stands_by"] = result.stands_by;
  return line;
}

Result<Json> RunBuildJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const BuildRequest request, ParseBuildJob(job));
  WorkerClient client(context);
  PITR_ASSIGN_OR_RETURN(const BuildResult result,
                        BuildReplacement(request, &client, *context->cancel));
  for (const std::string& note : result.roles.notes) {
    client.Note(note);
  }
  return BuiltLine(result);
}

}  // namespace pitr::tool
