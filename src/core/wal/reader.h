// Walks the records of a stretch of WAL whose bytes are at hand: used to find record boundaries (an LSN
// target becomes the start of the last record that ends at or before it), by the judge against
// pg_waldump, and by verification. IndexBuilder shares its page and record decoding.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/types/wal_name.h"
#include "core/wal/index.h"
#include "core/wal/record.h"

namespace pitr::wal {

struct Record {
  // `end` is the server's EndRecPtr (xlogreader.c NextRecPtr, 15): 8-aligned; a page boundary when the
  // record ends there (the next one then begins behind that page's header), so that it compares rightly
  // with what pg_current_wal_lsn() returns; the end of the segment for a switch record.
  Lsn start, end;
  Lsn previous;  // xl_prev
  Xid xid = 0;
  std::uint8_t resource_manager = 0, info = 0;
  std::uint32_t total_length = 0;
  std::vector<BlockRef> blocks;
  ByteView main_data;  // valid during the visit only
};

// Reads `bytes` of one WAL stretch that begins at segment start `begin` (whole segments back to back, the
// last one may be short) and calls `visit` for each record that begins and ends inside, CRC checked, in
// order, beginning with the first record that starts at or after `begin`. Stops at the end of valid
// WAL or when visit returns false. Returns where it stopped: the end of the last record visited, `begin`
// when there was none. kForeign and kUnsupported as IndexBuilder::Add.
Result<Lsn> WalkRecords(ByteView bytes, Lsn begin, const RootIdentity& root,
                        const std::function<bool(const Record&)>& visit);

const char* ResourceManagerName(
    std::uint8_t id);  // as pg_waldump prints it; "custom" for >= 128, "unknown" else

}  // namespace pitr::wal
