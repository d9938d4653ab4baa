// The build job as JSON (JOBS.md).
#pragma once

#include <memory>

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "tool/build.h"

namespace pitr::tool {

// kCorrupt naming the member that is missing or of another type.
Result<BuildRequest> ParseBuildJob(const Json& job);
Json BuiltLine(const BuildResult& result);
// Speaks to the worker on behalf of a build.
struct JobContext;
std::unique_ptr<BuildClient> WorkerClientOf(JobContext* context);

}  // namespace pitr::tool
