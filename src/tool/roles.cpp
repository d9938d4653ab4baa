// Comparing and altering roles by plain SQL in the promoted server, so that its own checks apply.
#include "tool/roles.h"
#include "core/base/json.h"

#include <algorithm>

namespace pitr::tool {

namespace {

bool IsPredefined(const std::string& name) { return name.compare(0, 3, "pg_") == 0; }

const Role* Find(const std::vector<Role>& roles, const std::string& name) {
  const auto found =
      std::find_if(roles.begin(), roles.end(), [&](const Role& role) { return role.name == name; });
  return found == roles.end() ? nullptr : &*found;
}

struct PastRole {
  std::string name;
  bool is_bootstrap = false, has_expiry = false;
};

Result<std::vector<PastRole>> ReadPast(Connection* connection, const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      connection->Query(
          "SELECT rolname, oid = 10, rolvaliduntil IS NOT NULL FROM pg_catalog.pg_authid"
          " WHERE rolname !~ '^pg_' ORDER BY rolname",
          cancel));
  std::vector<PastRole> roles;
  for (const Row& row : rows) {
    roles.push_back({row[0].value_or(""), row[1] == "t", row[2] == "t"});
  }
  return roles;
}

Result<std::string> AlterCommand(const Connection& connection, const PastRole& past,
                                 const Role& today) {
  PITR_ASSIGN_OR_RETURN(std::string command, connection.Identifier(past.name));
  command = "ALTER ROLE " + command;
  // Nobody must be locked out of everything because two names of the bootstrap superuser met.
  command += today.login || past.is_bootstrap ? " LOGIN" : " NOLOGIN";
  command += " CONNECTION LIMIT " + std::to_string(today.connection_limit) + " PASSWORD ";
  if (today.password) {
    PITR_ASSIGN_OR_RETURN(const std::string verifier, connection.Literal(*today.password));
    command += verifier;
  } else {
    command += "NULL";
  }
  if (today.valid_until || past.has_expiry) {
    // There is no way back to NULL by SQL; "infinity" means the same.
    PITR_ASSIGN_OR_RETURN(const std::string until,
                          connection.Literal(today.valid_until.value_or("infinity")));
    command += " VALID UNTIL " + until;
  }
  return command;
}

Result<std::string> DisableCommand(const Connection& connection, const PastRole& past) {
  PITR_ASSIGN_OR_RETURN(const std::string name, connection.Identifier(past.name));
  return "ALTER ROLE " + name + " NOLOGIN PASSWORD NULL";
}

// One command for each role that differs in name or in what is kept, and what to tell about it.
Result<std::vector<std::string>> Commands(const Connection& connection,
                                          const std::vector<PastRole>& past,
                                          const std::vector<Role>& today,
                                          const std::string& bootstrap_today,
                                          RoleOutcome* outcome) {
  std::vector<std::string> commands;
  for (const PastRole& role : past) {
    const Role* now = Find(today, role.name);
    if (now == nullptr && role.is_bootstrap) {
      now = Find(today, bootstrap_today);
      outcome->notes.push_back("the bootstrap superuser is called \"" + role.name +
                               "\" at that point and keeps LOGIN");
      if (now == nullptr) {
        continue;
      }
    }
    if (now == nullptr) {
      outcome->disabled.push_back(role.name);
      PITR_ASSIGN_OR_RETURN(std::string command, DisableCommand(connection, role));
      commands.push_back(std::move(command));
    } else {
      PITR_ASSIGN_OR_RETURN(std::string command, AlterCommand(connection, role, *now));
      commands.push_back(std::move(command));
    }
  }
  return commands;
}

}  // namespace

Result<std::vector<Role>> ParseRoles(const Json& answer) {
  const Json* list = JsonArray(answer, "roles");
  if (list == nullptr) {
    return Status(Code::kCorrupt, "member \"roles\" is missing");
  }
  std::vector<Role> roles;
  for (const Json& each : *list) {
    Role role;
    PITR_ASSIGN_OR_RETURN(role.name, JsonText(each, "name"));
    PITR_ASSIGN_OR_RETURN(role.password, JsonOptionalText(each, "password"));
    PITR_ASSIGN_OR_RETURN(role.valid_until, JsonOptionalText(each, "valid_until"));
    PITR_ASSIGN_OR_RETURN(role.login, JsonBool(each, "login"));
    PITR_ASSIGN_OR_RETURN(role.connection_limit, JsonInt(each, "connection_limit"));
    roles.push_back(std::move(role));
  }
  return roles;
}

Result<RoleOutcome> CarryRoles(Connection* connection, const std::vector<Role>& today,
                               const std::string& bootstrap_today, bool keep_passwords,
                               const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(const std::vector<PastRole> past, ReadPast(connection, cancel));
  RoleOutcome outcome;
  for (const Role& role : today) {
    const bool existed = std::any_of(past.begin(), past.end(),
                                     [&](const PastRole& then) { return then.name == role.name; });
    if (!existed && !IsPredefined(role.name)) {
      outcome.gone.push_back(role.name);
    }
  }
  if (!keep_passwords) {
    return outcome;
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> commands,
                        Commands(*connection, past, today, bootstrap_today, &outcome));
  PITR_RETURN_IF_ERROR(connection->Run("BEGIN", cancel));
  for (const std::string& command : commands) {
    PITR_RETURN_IF_ERROR(connection->Run(command, cancel));
  }
  PITR_RETURN_IF_ERROR(connection->Run("COMMIT", cancel));
  return outcome;
}

}  // namespace pitr::tool
