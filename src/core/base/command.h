// Runs a command that the administrator named and takes what it prints.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/result.h"

namespace pitr {

// `/bin/sh -c command`: nothing on standard input, standard error as ours, no other descriptor of ours. What it prints goes into `out`
// and nowhere else; returns its size. kLimit when it prints more than fits, kUnavailable when it takes longer than `timeout_ms` or WaitLimit,
// kCancelled when the process is to stop (base/cancel.h), kIo when it cannot be started or fails. It does not outlive the call, nor
// does what it started in its process group. The command itself is in no message, since people put secrets there.
Result<std::size_t> RunShellCommand(const std::string& command, std::int64_t timeout_ms,
                                    std::span<std::uint8_t> out);

}  // namespace pitr
