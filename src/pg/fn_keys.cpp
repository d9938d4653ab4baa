// pitr_rewrap_keys: another key for the repository, from the settings of this moment. The work is one small object, so the session does it
// itself; the processes that have the repository open keep its master key and notice nothing.
#include "core/repo/repository.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/row_builder.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Result<Datum> RewrapKeys(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const KeyRing keys, LoadKeys(CurrentSettings().repository.keys));
  PITR_ASSIGN_OR_RETURN(const Rewrapped rewrapped, session.repo->Rewrap(keys));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), session.self().name, "pitr_rewrap_keys",
                                 "key " + rewrapped.key_id));
  RowBuilder rows(fcinfo);
  rows.Int8(static_cast<std::int64_t>(rewrapped.objects)).Text(rewrapped.key_id).EndRow();
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_rewrap_keys) {
  return pitr::pg::Audited("pitr_rewrap_keys", "", [&] { return pitr::pg::RewrapKeys(fcinfo); });
}
