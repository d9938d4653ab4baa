// A table as it was at a point: what it is called and made of, read in a look as whoever asks. Texts are in the encoding of the database.
//
// All of it may THROW ErrorInFlight.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "pg/look_client.h"

namespace pitr::pg {

struct PastColumn {
  std::string name, type, collation;  // the collation only where it is not that of the type
  bool is_generated;
};

// Where a sequence of a column stood; nothing when it was not used, or not the role's to read.
struct PastSequence {
  std::string column;
  std::optional<std::string> value;
};

struct PastTable {
  std::string oid, schema, name, quoted, owner;
  bool is_partitioned;
  std::vector<PastColumn> columns;
  std::vector<PastSequence> sequences;
  std::string left_out;  // what it had that is never brought back, for people
};

// `relation` is found as the caller's session would find it. From here on the session in the look has no search path, and row security filters nothing.
// RAISES inside: 42P01, 42809.
Result<PastTable> DescribePastTable(LookClient* client, const std::string& relation);

// COPY ... TO STDOUT of those columns. REQUIRES: quoted.
std::string CopyCommand(const PastTable& table, const std::vector<std::string>& quoted_columns);

// A command that makes a part of it: `before` and `after` stand around a name, if it has one of its own in the schema.
struct PastPart {
  int phase;
  std::optional<std::string> name;
  std::string before, after;
  std::optional<std::string> needs;  // see phases
};

// Phases, in this order; all before kIndex are for an empty table. `needs`: of a sequence the text that a default names it with; of a grant
// the role, of a policy the roles ({a,b}): they may be gone. `after` of a foreign key is its name.
enum PastPhase {
  kSequence = 10,
  kTable = 20,
  kColumn = 30,
  kIndex = 40,
  kCheck = 42,
  kGrant = 50,
  kPolicy = 72,
  kForeignKey = 80,
  kForeignKeyComment = 81
};

// `table` and `schema`, quoted, are of the table that is made.
Result<std::vector<PastPart>> PartsOf(LookClient* client, const PastTable& past,
                                      const std::string& table, const std::string& schema);

}  // namespace pitr::pg
