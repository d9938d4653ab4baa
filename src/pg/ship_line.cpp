#include "pg/ship_line.h"

#include "core/repo/wal_archive.h"
#include "core/work/ship_rest.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

Status ShipLine(Repository* repo, const RootIdentity& root, const BranchId& line,
                const std::string& directory) {
  const Status held = HoldLineOf(repo, line, directory);
  if (held.code() == Code::kOtherWriter) {
    LogStatus(WARNING, "the last WAL of branch \"" + line + "\" is not brought into the repository",
              held);
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(held);
  ShipOptions options;
  options.branch = line;
  options.root = root;
  options.compression_level = CurrentSettings().backlog_compression_level;
  options.cancel = &ServerCancel();
  PITR_RETURN_IF_ERROR(ShipRest(repo, options, directory).status());
  return ReleaseLineOf(repo, line, directory);
}

}  // namespace pitr::pg
