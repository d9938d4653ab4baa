// Shared by the commands for people.
#include "tool/command_line.h"

#include <cstdio>
#include <cstdlib>

#include "tool/exit_codes.h"

namespace pitr::tool {

namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Other programs of ours, started in other directories, are told the path as well.
std::string AbsolutePath(const std::string& path) {
  char* const real = ::realpath(path.c_str(), nullptr);
  const std::string absolute = real == nullptr ? path : real;
  std::free(real);
  return absolute;
}

}  // namespace

KeySource KeysOfEnvironment() {
  return {Variable("PITR_ENCRYPTION_KEY_FILE"), Variable("PITR_ENCRYPTION_KEY_COMMAND")};
}

Result<RepositoryAccess> AccessOfOptions(const Options& options) {
  RepositoryAccess access = {options.TextOr("repository", Variable("PITR_REPOSITORY")),
                             KeysOfEnvironment()};
  if (const std::optional<std::string> file = options.Text("encryption-key-file")) {
    access.keys = {*file, ""};
  }
  if (!access.keys.file.empty()) {
    access.keys.file = AbsolutePath(access.keys.file);
  }
  if (access.address.empty()) {
    return Status(Code::kInvalidArgument,
                  "no repository: give --repository or set PITR_REPOSITORY");
  }
  return access;
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
