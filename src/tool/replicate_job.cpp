// The catch-up of several repositories, for the launcher (core/repo/replicate.h).
#include "core/base/json.h"
#include "core/repo/replicate.h"

#include "tool/job.h"

namespace pitr::tool {

namespace {

Json StateLine(const ReplicaState& state, bool is_over) {
  Json line;
  Json& json = line["replica"];
  json["place"] = state.place;
  json["filled"] = state.is_filled;
  json["over"] = is_over;
  json["behind_segments"] = state.behind_segments;
  json["behind_bytes"] = state.behind_bytes;
  if (!state.problem.ok()) {
    json["error"] = state.problem.message();
  }
  return line;
}

std::string Summary(const ReplicaState& state) {
  return "repository \"" + state.label +
         "\" has caught up: " + std::to_string(state.copied_objects) + " objects with " +
         std::to_string(state.copied_bytes) + " bytes copied, " +
         std::to_string(state.removed_objects) + " removed";
}

}  // namespace

Result<Json> RunReplicateJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessFrom(job));
  PITR_ASSIGN_OR_RETURN(const std::vector<ReplicaState> states,
                        ReplicateAddress(access, context->cancel, [&](const ReplicaState& state) {
                          context->output->Send(StateLine(state, false));
                        }));
  for (const ReplicaState& state : states) {
    context->output->Send(StateLine(state, true));
    if (state.problem.ok() && state.copied_objects + state.removed_objects > 0) {
      context->output->Log(LogLevel::kInfo, Summary(state));
    }
  }
  Json line;
  line["done"] = Json::object();
  return line;
}

}  // namespace pitr::tool
