// What a record says beyond the blocks that it names: commits, restore points, drops, settings. Shared by
// the builder, which sees records inside a segment, and by JoinTail, which sees those that run over.
#pragma once

#include "core/wal/index.h"
#include "core/wal/page_reader.h"
#include "core/wal/record.h"

namespace pitr::wal {

// Appends to the lists of `index` and counts the record. REQUIRES: records come in LSN order. False, with
// nothing changed, when the record's own part is not what its resource manager writes.
bool AddFacts(const RawRecord& raw, const RecordBody& body, SegmentIndex* index);

}  // namespace pitr::wal
