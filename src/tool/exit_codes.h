// What the program's exit status says (sql-surface.md 8). The server reads the status of wal-get: everything up to 125 is
// "not in the archive" and may end a recovery early, so whatever is not proven absent is above (conventions 5.10).
#pragma once

namespace pitr::tool {

inline constexpr int kExitDone = 0;
inline constexpr int kExitAbsent = 1;  // wal-get: the store answered that there is no such object
inline constexpr int kExitCheckFailed = 1;  // verify: something is damaged
inline constexpr int kExitUsage = 2;
inline constexpr int kExitFailed = 200;  // never 126 .. 199: the shell and signals live there

}  // namespace pitr::tool
