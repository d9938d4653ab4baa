// Between `pitr job` and the `pitr compute` that it starts.
#pragma once

namespace pitr::tool {

// The descriptor with which the lock of a directory's starts comes along.
inline constexpr int kInheritedLock = 4;

}  // namespace pitr::tool
