// Rows of a look into a table of today: what COPY there writes is what COPY here reads. Texts are in the encoding of the database.
//
// All of it may THROW ErrorInFlight.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "pg/look_client.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

struct RowsThere {
  LookClient* client;
  std::string command;               // COPY ... TO STDOUT, of these columns
  std::vector<std::string> columns;  // of the table of today
};

// As COPY FROM: defaults, generated columns, constraints, triggers. Whether that is allowed is not asked. The number of rows.
Result<std::uint64_t> CopyInto(const RowsThere& rows, Oid table);

// They take the place of all that the table holds, which stays what it is: the new rows are written beside and change places with it, indexes are built
// anew, no trigger hears of it. NOT NULL, CHECK, unique and partition constraints hold; foreign keys are not looked at. REQUIRES: a table with rows of its
// own, locked with ACCESS EXCLUSIVE; nothing here asks whether it is allowed.
Result<std::uint64_t> CopyInPlaceOf(const RowsThere& rows, Oid table);

}  // namespace pitr::pg
