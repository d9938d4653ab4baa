// WAL that is let go because it can't be archived (pitr.on_archive_failure = 'drop'): a gap in what can be restored, which is told of, and ended by
// a snapshot.
//
// Everything may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "core/repo/identity.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// The archiver's part. True: archiving has failed for a while, more than pitr.archive_max_backlog waits, and this segment is a durable note by now
// instead. Not while commits wait for the repository: what they would be told then is not so. `destination`: where files that were shipped ahead of
// the archiver went to.
Result<bool> LetGo(const std::string& name, std::uint64_t destination);

// The launcher's part, each second: the repository learns of gaps, and a snapshot is begun behind the last one.
Status TellOfGaps(Repository* repo, const Identity& identity);
// Another repository, or a server that has just started.
void LookForGapsAnew();

// For pitr_status: kGap while the repository does not know of all, or no snapshot ends it.
Status ProblemOfGaps();

}  // namespace pitr::pg
