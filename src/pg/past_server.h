// The foreign server of an attached schema (attachment.h) and its one user mapping.
#pragma once

#include <string>

#include "core/work/look.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

// Texts in the encoding of the database.
struct PastServerSpec {
  Oid schema = InvalidOid;
  std::string name, host, point, database, role;
  int port = 0;
};

// The server is the bootstrap superuser's and goes with the schema; the calling role may use it, and has a mapping to `role`, without a password. It
// cannot make that mapping another one: whoever is no superuser may only alter it together with password_required, and then a password must have been
// asked for, which a look never does (postgres_fdw, option.c and connection.c, 15 to 18). REQUIRES: postgres_fdw is there. THROWS ErrorInFlight.
void MakePastServer(const PastServerSpec& spec);

}  // namespace pitr::pg
