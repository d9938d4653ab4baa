// The messages of a replication connection inside COPY: what a WAL sender says, and the one answer to it. Read in
// protocol.sgml and walsender.c of 15 to 18. Integers are big-endian here.
//
//   w  8 bytes start of the data, 8 end of WAL on the server, 8 its clock, then the data
//   k  8 bytes end of WAL on the server, 8 its clock, 1 whether an answer is wanted at once
//   r  8 bytes written, 8 flushed, 8 applied, 8 our clock, 1 whether an answer is wanted at once
#pragma once

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/types/lsn.h"

namespace pitr::wal {

struct StreamMessage {
  Lsn end;  // everything before it was sent; invalid when the message carries no data
  bool reply_wanted = false;
};

// kCorrupt when it is neither of the two.
Result<StreamMessage> ParseStreamMessage(ByteView message);

// Everything before `durable` is. It is called written, flushed and applied alike, so that no level of synchronous_commit waits
// for less, or for ever.
Bytes StandbyStatus(Lsn durable, Timestamp now);

}  // namespace pitr::wal
