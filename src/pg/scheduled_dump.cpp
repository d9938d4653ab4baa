#include "pg/scheduled_dump.h"

#include "core/base/json.h"
#include "pg/dump_request.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Status Invalid(const std::string& message) { return Status(Code::kInvalidArgument, message); }

Status TakeFlag(const std::string& name, const Json& value, bool* flag) {
  if (!value.is_boolean()) return Invalid("option \"" + name + "\" is not true or false");
  *flag = value.get<bool>();
  return Status::Ok();
}

Status TakeText(const std::string& name, const Json& value, std::string* text) {
  if (!value.is_string()) return Invalid("option \"" + name + "\" is not a text");
  *text = value.get<std::string>();
  return Status::Ok();
}

Status Take(const std::string& name, const Json& item, DumpItem* out) {
  const Json& value = item[name];
  DumpOptions& options = out->options;
  if (name == "format") return TakeText(name, value, &options.format);
  if (name == "repository") return TakeText(name, value, &out->repository);
  if (name == "schema_only") return TakeFlag(name, value, &options.schema_only);
  if (name == "no_owner") return TakeFlag(name, value, &options.no_owner);
  if (name == "no_privileges") return TakeFlag(name, value, &options.no_privileges);
  if (name == "globals") return TakeFlag(name, value, &options.globals);
  if (name == "jobs") {
    const Result<std::int64_t> jobs = JsonInt(item, name);
    if (!jobs.ok() || *jobs < 1 || *jobs > kMostDumpJobs) {
      return Invalid("option \"jobs\" is not a number from 1 to " + std::to_string(kMostDumpJobs));
    }
    options.jobs = static_cast<std::int32_t>(*jobs);
    return Status::Ok();
  }
  return Invalid("option \"" + name + "\" is not known")
      .WithHint(
          "Options are format, schema_only, no_owner, no_privileges, globals, jobs and "
          "repository.");
}

}  // namespace

Result<DumpItem> ParseDumpItem(const Json& item) {
  DumpItem out;
  for (const auto& [name, value] : item.items()) {
    if (!value.is_null()) PITR_RETURN_IF_ERROR(Take(name, item, &out));
  }
  PITR_RETURN_IF_ERROR(CheckDumpOptions(out.options));
  return out;
}

Result<NewOperation> NewScheduledDump(const Schedule& schedule, const Branch& self,
                                      const OperationId& id, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(DumpItem item, ParseDumpItem(schedule.item));
  DumpRequest request;
  request.id = id;
  request.options = std::move(item.options);
  request.options.database = schedule.database;
  request.repository = std::move(item.repository);
  request.function = "pitr_schedule_dump";
  request.arguments = schedule.id;
  request.wait = false;
  if (schedule.retention_seconds) {
    request.expires_at = Timestamp{now.micros + *schedule.retention_seconds * 1000000};
  }
  return NewDumpOperation(request, self);
}

}  // namespace pitr::pg
