// Pieces of a segment that is still open: their names in the repository, and which of them make up its beginning. Inside repo/
// only.
#pragma once

#include <string>
#include <vector>

#include "core/repo/layout.h"
#include "core/store/store.h"

namespace pitr {

struct NamedPiece {
  layout::TailPiece piece;
  std::string object;
  std::uint64_t stored_bytes = 0;
};

// From pieces of one segment, in any order, those that make up the longest stretch from its start, in order. At each place the
// piece that reaches farthest is right: bytes of flushed WAL are the same in all of them.
std::vector<NamedPiece> JoinPieces(const std::vector<NamedPiece>& pieces);

// Every piece of the segment that is listed, joined or not.
Result<std::vector<NamedPiece>> ListPieces(ObjectStore* store, const BranchId& branch,
                                           SegmentId segment, std::uint64_t segment_size);

}  // namespace pitr
