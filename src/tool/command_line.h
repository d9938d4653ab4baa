// What the commands that people type have in common: the repository's address, how an error is shown, progress on a terminal.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/repo/access.h"
#include "core/work/progress.h"
#include "tool/options.h"

namespace pitr::tool {

// --repository, else PITR_REPOSITORY; kInvalidArgument when neither is there. With --encryption-key-file, else
// PITR_ENCRYPTION_KEY_FILE or PITR_ENCRYPTION_KEY_COMMAND.
Result<RepositoryAccess> AccessOfOptions(const Options& options);
// The keys' two variables alone.
KeySource KeysOfEnvironment();
// "pitr <command>: …" with detail and hint on standard error; returns kExitFailed.
int Fail(const char* command, const Status& status);
// The same for wrong usage; returns kExitUsage.
int FailUsage(const char* command, const Status& status);

// Phases as lines on standard error.
class TerminalProgress final : public Progress {
 public:
  void Phase(std::string_view name) noexcept override;
  void Total(std::uint64_t) noexcept override {}
  void Done(std::uint64_t) noexcept override {}
};

class NoProgress final : public Progress {
 public:
  void Phase(std::string_view) noexcept override {}
  void Total(std::uint64_t) noexcept override {}
  void Done(std::uint64_t) noexcept override {}
};

}  // namespace pitr::tool
