// SQL of ours in the transaction of the calling statement (SPI), as whoever that runs as. Texts are in the encoding of the database.
//
// All of it may THROW ErrorInFlight: what the server says against a command ends the statement.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "pg/boundary.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

using LocalRow = std::vector<std::optional<std::string>>;

struct LocalResult {
  std::vector<LocalRow> rows;
  std::uint64_t processed = 0;
};

// One command; $1 and so on are texts.
Result<LocalResult> RunLocally(const std::string& command,
                               const std::vector<std::string>& values = {});
// The same of one that only reads, in the active snapshot.
Result<LocalResult> ReadLocally(const std::string& command);
// The first column of its first row; nothing when that is null or not there.
Result<std::optional<std::string>> AskLocally(const std::string& command,
                                              const std::vector<std::string>& values = {});

// The same, undone when it cannot be as things are (class 42: what it names is not there, does not fit, or is not allowed); then what the server says.
Result<std::optional<std::string>> TryLocally(const std::string& command);

// Until End every setting is as Set says; an error gives back what was as well.
class LocalSettings {
 public:
  LocalSettings();
  void Set(const char* name, const char* value);
  void End();

 private:
  int level_;
};

// Runs `body` as that role, and no further, as maintenance commands run what owners wrote. An error ends it too.
template <typename Body>
auto AsRole(Oid role, Body body) {
  Oid before = InvalidOid;
  int context = 0;
  GetUserIdAndSecContext(&before, &context);
  SetUserIdAndSecContext(role, context | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
  auto result = body();
  SetUserIdAndSecContext(before, context);
  return result;
}

}  // namespace pitr::pg
