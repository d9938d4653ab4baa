// Where programs are, and running them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/result.h"

namespace pitr::tool {

// The file that runs now.
Result<std::string> OwnProgram();
// The folder with PostgreSQL's programs of that major: `wanted` if not empty, else beside us, else in PATH, else where
// Debian and the RPMs put them. kNotReady when there is none, or `wanted` has another major.
Result<std::string> FindBinDirectory(const std::string& wanted, std::uint32_t server_major);
// The major that a `postgres` says it is; 0 when it cannot be run.
std::uint32_t MajorOfServer(const std::string& bin_directory);
// Our library, as a server preloads it.
inline constexpr char kLibraryName[] = "pitr_ext";
// Is it among the modules of the PostgreSQL whose programs are there?
bool IsLibraryInstalled(const std::string& bin_directory);
// What a program writes to its standard output, at most 64 KiB; kIo when it cannot be run or fails, with its errors as the detail.
Result<std::string> OutputOf(const std::vector<std::string>& arguments);
// What a server on that directory would run with, by its configuration files; "" for a setting of a module that they do not name.
Result<std::string> SettingOf(const std::string& bin_directory, const std::string& directory,
                              const std::string& name);
// Runs it in that environment ("NAME=value") to its end, with its output thrown away; kInternal with what it says of errors, kCancelled after it was ended.
Status RunQuietly(const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment, const CancelToken& cancel);
// Runs to its end with our output; its exit status, or kIo.
Result<int> RunProgram(const std::vector<std::string>& arguments);

}  // namespace pitr::tool
