#include "pg/look_entry.h"

#include <libpq-fe.h>

#include <array>

#include "pg/boundary.h"
#include "pg/operation_slots.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
}

namespace pitr::pg {

namespace {

constexpr int kTries = 20;
constexpr long kPauseMs = 100;

// What the session could do to files and programs of this machine, as itself or as a role that it may become; and whether it may do so today.
Status CheckRightsOfMachine(LookClient* client, const std::string& role) {
  PITR_ASSIGN_OR_RETURN(
      const ResultPtr then,
      client->Query("SELECT bool_or(rolsuper), bool_or(rolname = 'pg_read_server_files'),"
                    " bool_or(rolname = 'pg_write_server_files'),"
                    " bool_or(rolname = 'pg_execute_server_program')"
                    " FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')"));
  constexpr std::array<Oid, 3> kRoles = {ROLE_PG_READ_SERVER_FILES, ROLE_PG_WRITE_SERVER_FILES,
                                         ROLE_PG_EXECUTE_SERVER_PROGRAM};
  const bool is_super = Call([] { return superuser(); });
  const auto had = [&](int column) { return *PQgetvalue(then.get(), 0, column) == 't'; };
  bool has_more = had(0) && !is_super;
  for (std::size_t i = 0; i < kRoles.size() && !has_more && !is_super; i++) {
    const Oid right = kRoles[i];
    has_more = had(static_cast<int>(i) + 1) &&
               !Call([&] { return is_member_of_role(GetUserId(), right); });
  }
  if (!has_more) return Status::Ok();
  RaiseAs("42501",
          "role \"" + role +
              "\" had rights over files and programs of the server at that point that "
              "it has no more",
          "Ask as a superuser, or as another role.");
}

// "ISO" and the caller's order of day and month.
std::string DateStyle() {
  const std::string style = SettingValue("DateStyle");
  const std::size_t comma = style.find(',');
  return comma == std::string::npos ? "ISO" : "ISO" + style.substr(comma);
}

}  // namespace

void RaiseAs(const char* sqlstate, const std::string& message, const char* hint) {
  ForeignError error{};
  error.sqlstate = sqlstate;
  error.message = message.c_str();
  error.hint = hint;
  Call([&] { RaiseForeign(error); });
  pg_unreachable();
}

std::string CallingRole() {
  const char* role = Call([] { return GetUserNameFromId(GetUserId(), false); });
  return role;
}

std::string CallingDatabase() {
  const char* name = Call([] { return get_database_name(MyDatabaseId); });
  return name;
}

// As if the caller's session ran there; values come in forms that every session reads alike.
Status TakeOverSettings(LookClient* client) {
  return client
      ->Query(
          "SELECT set_config('TimeZone', $1, false), set_config('DateStyle', $2, false),"
          " set_config('standard_conforming_strings', $3, false),"
          " set_config('IntervalStyle', 'postgres', false),"
          " set_config('extra_float_digits', '3', false),"
          " set_config('bytea_output', 'hex', false),"
          " set_config('xmloption', 'content', false),"
          " set_config('search_path', $4, false)",
          {SettingValue("TimeZone"), DateStyle(), SettingValue("standard_conforming_strings"),
           SettingValue("search_path")})
      .status();
}

// A look that was found may end before it is entered. The session is the role from its first moment (look_guard.h).
Result<EnteredLook> EnterLook(const std::string& point, const std::string& role,
                              const std::string& database) {
  for (int i = 1;; i++) {
    PITR_ASSIGN_OR_RETURN(HeldLook held, HoldLook(point));
    auto client = std::make_unique<LookClient>();
    const Status connected = client->Connect(held.look, role, database);
    if (connected.code() == Code::kUnavailable && i < kTries) {
      NapOnLatch(kPauseMs);
      CheckInterrupts();
      continue;
    }
    PITR_RETURN_IF_ERROR(connected);
    PITR_RETURN_IF_ERROR(CheckRightsOfMachine(client.get(), role));
    return EnteredLook{std::move(held), std::move(client)};
  }
}

}  // namespace pitr::pg
