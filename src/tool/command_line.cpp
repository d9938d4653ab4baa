// Shared by the commands for people.
#include "tool/command_line.h"

#include <cstdio>
#include <cstdlib>

#include "tool/exit_codes.h"

namespace pitr::tool {

Result<std::string> RepositoryAddress(const Options& options) {
  if (const std::optional<std::string> given = options.Text("repository")) {
    return *given;
  }
  const char* variable = std::getenv("PITR_REPOSITORY");
  if (variable != nullptr && *variable != '\0') {
    return std::string(variable);
  }
  return Status(Code::kInvalidArgument, "no repository: give --repository or set PITR_REPOSITORY");
}

int Fail(const char* command, const Status& status) {
  std::fprintf(stderr, "pitr %s: %s\n", command, status.message().c_str());
  if (!status.detail().empty()) {
    std::fprintf(stderr, "DETAIL: %s\n", status.detail().c_str());
  }
  if (!status.hint().empty()) {
    std::fprintf(stderr, "HINT: %s\n", status.hint().c_str());
  }
  return kExitFailed;
}

int FailUsage(const char* command, const Status& status) {
  std::fprintf(stderr, "pitr %s: %s; see pitr --help\n", command, status.message().c_str());
  return kExitUsage;
}

void TerminalProgress::Phase(std::string_view name) noexcept {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(name.size()), name.data());
}

}  // namespace pitr::tool
