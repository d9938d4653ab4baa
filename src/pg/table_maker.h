// A table of the past made anew in the present, beside what is there. THROWS ErrorInFlight.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "pg/local_sql.h"
#include "pg/past_table.h"

namespace pitr::pg {

struct NewTable {
  std::string schema, name;
};

class TableMaker {
 public:
  TableMaker(LookClient* client, const PastTable& past, NewTable made)
      : client_(client), past_(past), made_(std::move(made)) {}

  // All of it with its rows: what the past wrote is run as the owner, who is the one of then if the caller may say so. The number of rows.
  Result<std::uint64_t> Make();

  Oid oid() const { return oid_; }
  const std::string& quoted() const { return quoted_; }

 private:
  Status Check();
  Status MakeEmpty();
  Status HandOver();
  Status ForgetDefaultGrants();
  Result<std::uint64_t> Fill();
  Status RunPhases(int first, int end);
  Status RunPart(const PastPart& part);
  Status Grant(const PastPart& part);
  Status AddForeignKeys();
  Status AddForeignKey(const PastPart& part);
  Status AddPolicy(const PastPart& part);
  Result<std::string> NameFor(const std::string& name);
  Result<bool> Is(const std::string& question, const std::vector<std::string>& values) const;

  LookClient* client_;
  const PastTable& past_;
  NewTable made_;
  std::string quoted_, quoted_schema_;
  Oid oid_ = InvalidOid, owner_ = InvalidOid;
  std::vector<PastPart> parts_;
  std::vector<std::pair<std::string, std::string>> names_;  // of then and of now
  std::vector<std::pair<std::string, std::string>>
      literals_;  // of sequences, as defaults name them
};

// Owned sequences and identities of a table of today go on behind where they stood, and stand, whichever is further.
Status AdvanceSequences(const PastTable& past, Oid table, const std::string& quoted);

}  // namespace pitr::pg
