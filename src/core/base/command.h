// Runs a command that the administrator named and takes what it prints.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace pitr {

// `/bin/sh -c command`: nothing on standard input, standard error as ours, no other descriptor of ours. What it prints goes into `out`
// and nowhere else; returns its size. kLimit when it prints more than fits, kUnavailable when it takes longer than `timeout_ms` or WaitLimit,
// kCancelled when the process is to stop (base/cancel.h), kIo when it cannot be started or fails. It does not outlive the call, nor
// does what it started in its process group. The command itself is in no message, since people put secrets there.
Result<std::size_t> RunShellCommand(const std::string& command, std::int64_t timeout_ms,
                                    std::span<std::uint8_t> out);

class ChildGroup;

// A command that runs while its owner does other things: the same shell, with a text on its standard input, and what it prints goes where our
// standard error goes. Ended, with what it started in its process group, when the object goes.
class BackgroundCommand {
 public:
  // What a pipe takes without a reader.
  static constexpr std::size_t kMaxInput = 32U << 10;

  BackgroundCommand();
  ~BackgroundCommand();
  BackgroundCommand(const BackgroundCommand&) = delete;
  BackgroundCommand& operator=(const BackgroundCommand&) = delete;

  // REQUIRES: !IsRunning(), at most kMaxInput of input.
  Status Start(const std::string& command, std::string_view input);
  bool IsRunning() const { return child_ != nullptr; }
  // How it ended, once; kUnavailable when it had to be ended because it took longer than `timeout_ms`. Nothing while it runs.
  std::optional<Status> Look(std::int64_t timeout_ms);
  // At once, whatever it does.
  void End();

 private:
  std::unique_ptr<ChildGroup> child_;
  std::int64_t started_ms_ = 0;
};

}  // namespace pitr
