// Roles after a restore: who may log in, and with which password, does not go back in time (rules.md 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "tool/connection.h"

namespace pitr::tool {

struct Role {
  std::string name;
  std::optional<std::string> password;     // verifier as pg_authid holds it
  std::optional<std::string> valid_until;  // as the server prints it, with a zone
  bool login = false;
  std::int64_t connection_limit = -1;
};

// The answer to {"need":"roles"}.
Result<std::vector<Role>> ParseRoles(const Json& answer);

struct RoleOutcome {
  std::vector<std::string> gone;      // exist today, not then
  std::vector<std::string> disabled;  // existed then, dropped since: NOLOGIN without password now
  std::vector<std::string> notes;
};

// With `keep_passwords` carries today's password, validity, LOGIN and connection limit over, in one transaction; without it only
// compares. Predefined roles (pg_…) are left alone. The bootstrap superuser (oid 10) can always log in: if it had another name
// then, it gets what `bootstrap_today` (may be empty) has today.
Result<RoleOutcome> CarryRoles(Connection* connection, const std::vector<Role>& today,
                               const std::string& bootstrap_today, bool keep_passwords,
                               const CancelToken& cancel);

}  // namespace pitr::tool
