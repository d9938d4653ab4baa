// Entering a look (look_table.h): a session there, as a role of then.
#pragma once

#include <memory>
#include <string>

#include "core/base/result.h"
#include "pg/look_client.h"
#include "pg/look_table.h"

namespace pitr::pg {

struct EnteredLook {
  HeldLook held;
  std::unique_ptr<LookClient> client;
};

// Whoever the current statement runs as, in the encoding of the database.
std::string CallingRole();
// Where it runs.
std::string CallingDatabase();

// The look at that point, and a session of it in that database. Nothing is run in it before the role's rights over the machine have been compared with
// today's: they are the machine's of today, whatever the role was allowed then (42501). Errors of HoldLook and LookClient::Connect. THROWS ErrorInFlight.
Result<EnteredLook> EnterLook(const std::string& point, const std::string& role,
                              const std::string& database);

// As if the caller's session ran there; values come in forms that every session reads alike. THROWS ErrorInFlight.
Status TakeOverSettings(LookClient* client);

// An error of its own class, in the encoding of the database. THROWS ErrorInFlight.
[[noreturn]] void RaiseAs(const char* sqlstate, const std::string& message, const char* hint);

}  // namespace pitr::pg
