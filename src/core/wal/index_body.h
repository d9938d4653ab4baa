// The part of an encoded index that holds its lists; the head and the checksums are index_codec.cpp's.
#pragma once

#include "core/base/bytes.h"
#include "core/wal/index.h"

namespace pitr::wal {

// REQUIRES: lists in LSN order, all starts inside the segment, as IndexBuilder makes them.
void WriteIndexBody(const SegmentIndex& index, Bytes* out);

// Fills the lists of `index`, whose identity and fragments' `present` are set. False for anything that
// WriteIndexBody cannot have written.
bool ReadIndexBody(ByteView body, SegmentIndex* index);

}  // namespace pitr::wal
