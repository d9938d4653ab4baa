#include "pg/dump_keeper.h"

#include <algorithm>

#include "core/plan/dump_retention.h"
#include "core/repo/dump_attempts.h"
#include "pg/dump_places.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

bool IsRestoringDump() {
  const std::vector<OperationSlot> slots = AllOperations();
  return std::any_of(slots.begin(), slots.end(), [](const OperationSlot& slot) {
    return slot.finished_at == 0 && slot.kind == std::string_view(kRestoreDump);
  });
}

namespace {

Status KeepDumpsIn(Repository* repo, Repository* own, Timestamp before, Timestamp now) {
  if (!IsRestoringDump()) {
    PITR_ASSIGN_OR_RETURN(const std::vector<DumpManifest> dumps, ListDumps(repo, nullptr));
    for (const DumpId& id : ExpiredDumps(dumps, now)) {
      LogQuietly(LOG, "pitr_ext: the time of dump \"" + id + "\" is over");
      PITR_RETURN_IF_ERROR(DeleteDump(repo, id, now).status());
    }
  }
  PITR_RETURN_IF_ERROR(ForgetOldDumpAttempts(repo, now));
  return CollectAbandonedDumps(repo, own, before, now);
}

}  // namespace

Status KeepDumps(Repository* repo, Timestamp before, Timestamp now) {
  PITR_RETURN_IF_ERROR(KeepDumpsIn(repo, repo, before, now));
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpRepository> others, OtherDumpRepositories(repo));
  for (const DumpRepository& other : others) {
    const Status kept = KeepDumpsIn(other.repo.get(), repo, before, now);
    if (!kept.ok()) LogStatus(WARNING, "could not look after dumps in another repository", kept);
  }
  return Status::Ok();
}

}  // namespace pitr::pg
