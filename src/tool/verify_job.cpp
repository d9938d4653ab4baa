// Verification for the server: a line for each object.
#include "core/base/json.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/verify.h"

namespace pitr::tool {

Result<Json> RunVerifyJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessFrom(job));
  VerifyOptions options;
  PITR_ASSIGN_OR_RETURN(options.snapshot, JsonOptionalText(job, "snapshot"));
  PITR_ASSIGN_OR_RETURN(options.workers, JsonNumberOr<int>(job, "workers", options.workers));
  PITR_ASSIGN_OR_RETURN(options.byte_budget,
                        JsonNumberOr<std::uint64_t>(job, "byte_budget", options.byte_budget));
  const auto send = [context](const Finding& finding) {
    Json line;
    Json& json = line["finding"];
    json["kind"] = finding.kind;
    json["object"] = finding.object;
    json["ok"] = finding.ok;
    json["detail"] = finding.detail;
    context->output->Send(line);
  };
  PITR_ASSIGN_OR_RETURN(const VerifySummary summary,
                        VerifyAddress(access, options, send, context->output, *context->cancel));
  Json line;
  Json& done = line["done"];
  done["objects"] = summary.objects;
  done["damaged"] = summary.damaged;
  done["skipped"] = summary.skipped;
  done["bytes"] = summary.bytes;
  return line;
}

}  // namespace pitr::tool
