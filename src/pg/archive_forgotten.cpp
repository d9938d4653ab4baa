#include "pg/archive_forgotten.h"

#include "core/base/file.h"
#include "core/types/wal_name.h"
#include "pg/boundary.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogarchive.h"
}

namespace pitr::pg {

void RemindArchiverOfForgottenWal() {
  const auto size = static_cast<std::uint64_t>(wal_segment_size);
  const Result<std::vector<std::string>> names = ListDirectory(XLOGDIR);
  if (!names.ok()) {
    LogStatus(WARNING, "pitr launcher", names.status());
    return;
  }
  // What bears a higher number is being written, or waits to be used again.
  const std::uint64_t open = SegmentNumberOf(FlushLsn(), size);
  for (const std::string& name : *names) {
    const std::optional<WalFileName> file = ParseWalFileName(name, size);
    if (!file || (file->kind != WalFileKind::kSegment && file->kind != WalFileKind::kPartial) ||
        file->segment >= open) {
      continue;
    }
    // As the server asks before it recycles a segment; what it has forgotten gets its `.ready` again.
    (void)Call([&] { return XLogArchiveCheckDone(name.c_str()); });
  }
}

}  // namespace pitr::pg
