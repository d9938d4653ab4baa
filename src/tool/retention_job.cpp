// A pass of retention for the server (core/work/retention_pass.h).
#include "core/base/json.h"
#include "core/work/retention_pass.h"
#include "tool/job.h"
#include "tool/job_fields.h"

namespace pitr::tool {

Result<Json> RunRetentionJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessFrom(job));
  RetentionPassOptions options;
  RetentionQuestion& question = options.question;
  PITR_ASSIGN_OR_RETURN(question.self, JsonText(job, "self"));
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> minded, JsonTexts(job, "minded"));
  question.minded.insert(minded.begin(), minded.end());
  PITR_ASSIGN_OR_RETURN(question.server.window_seconds,
                        JsonNumber<std::int64_t>(job, "window_seconds"));
  PITR_ASSIGN_OR_RETURN(question.server.minimum_snapshots,
                        JsonNumber<std::int64_t>(job, "minimum_snapshots"));
  PITR_ASSIGN_OR_RETURN(question.now, JsonTime(job, "now"));
  PITR_ASSIGN_OR_RETURN(options.grace_seconds, JsonNumber<std::int64_t>(job, "grace_seconds"));
  PITR_ASSIGN_OR_RETURN(options.budget_ms, JsonNumber<std::int64_t>(job, "budget_ms"));
  PITR_ASSIGN_OR_RETURN(options.operation, JsonText(job, "operation"));
  options.cancel = context->cancel;
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<Repository> repo,
                        Repository::OpenAddress(access, false));
  context->output->Phase("retention");
  PITR_ASSIGN_OR_RETURN(const RetentionPassResult result, RunRetentionPass(repo.get(), options));
  for (const std::string& note : result.notes) {
    context->output->Log(LogLevel::kInfo, "pitr_ext: " + note);
  }
  Json line;
  Json& done = line["done"];
  done["removed_snapshots"] = result.removed.size();
  done["removed_objects"] = result.removed_objects;
  done["removed_bytes"] = result.removed_bytes;
  done["marked"] = result.marked.size();
  done["taken_back"] = result.taken_back.size();
  done["more"] = result.has_more;
  done["postponed"] = result.postponed;
  return line;
}

}  // namespace pitr::tool
