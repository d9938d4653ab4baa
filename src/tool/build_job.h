// The build job as JSON (JOBS.md).
#pragma once

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "tool/build.h"

namespace pitr::tool {

// kCorrupt naming the member that is missing or of another type.
Result<BuildRequest> ParseBuildJob(const Json& job);
Json BuiltLine(const BuildResult& result);

}  // namespace pitr::tool
