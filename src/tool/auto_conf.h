// postgresql.auto.conf, which wins over every other file: settings that a server was given, as if by ALTER SYSTEM.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "tool/staging_config.h"

namespace pitr::tool {

// Behind what stands there, so that they win. DURABLE.
Status AppendToAutoConf(const std::string& directory, const std::vector<Setting>& settings);

}  // namespace pitr::tool
