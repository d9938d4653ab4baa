// Programs that run side by side, each reading what the one before it writes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/result.h"

namespace pitr::tool {

// Runs them in that environment ("NAME=value") to their end; what the last one writes is thrown away. They end with this process, however that ends.
// `meanwhile` is called some times a second. kCancelled after they were ended; else of the first that failed by itself: kDiskFull when that is what
// it says, kInternal, with its last words as the detail. The thread that calls must live as long as they do.
Status RunPipeline(const std::vector<std::vector<std::string>>& programs,
                   const std::vector<std::string>& environment,
                   const std::function<void()>& meanwhile, const CancelToken& cancel);

}  // namespace pitr::tool
