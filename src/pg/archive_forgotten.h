// WAL that the server itself has forgotten to archive.
#pragma once

namespace pitr::pg {

// The server creates `.ready` files without syncing them (XLogArchiveNotify, xlogarchive.c), so a power cut can take that of a
// finished segment. It makes up for it only when the segment is about to be recycled, which wal_keep_size or a replication slot
// can put off for ever; until then a hole parts the newest history from the snapshot before it. This marks every finished
// segment that has neither `.ready` nor `.done`. May THROW ErrorInFlight. REQUIRES: not in recovery.
void RemindArchiverOfForgottenWal();

}  // namespace pitr::pg
