// Listing and joining of pieces.
#include "core/repo/tail_pieces.h"

namespace pitr {

std::vector<NamedPiece> JoinPieces(const std::vector<NamedPiece>& pieces) {
  std::vector<NamedPiece> joined;
  for (std::uint32_t reached = 0;;) {
    const NamedPiece* farthest = nullptr;
    for (const NamedPiece& named : pieces) {
      const std::uint32_t best = farthest == nullptr ? reached : farthest->piece.end;
      if (named.piece.begin <= reached && named.piece.end > best) {
        farthest = &named;
      }
    }
    if (farthest == nullptr) {
      return joined;
    }
    joined.push_back(*farthest);
    reached = farthest->piece.end;
  }
}

Result<std::vector<NamedPiece>> ListPieces(ObjectStore* store, const BranchId& branch,
                                           SegmentId segment, std::uint64_t segment_size) {
  const std::string prefix = layout::TailPrefix(branch, segment.timeline);
  const std::string name = SegmentName(segment, segment_size);
  std::vector<NamedPiece> pieces;
  // Names of the segment's pieces are those between "<name>" and "<name>/".
  constexpr std::size_t kPage = 100;
  for (std::string after = prefix + name;;) {
    PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> page, store->List(prefix, after, kPage));
    for (const ObjectStat& object : page) {
      const auto piece = layout::ParseTailName(layout::LastPart(object.name), segment_size);
      if (piece.has_value() && piece->segment == segment) {
        pieces.push_back({*piece, object.name, object.size});
      }
    }
    if (page.size() < kPage || !page.back().name.starts_with(prefix + name)) {
      return pieces;
    }
    after = page.back().name;
  }
}

}  // namespace pitr
