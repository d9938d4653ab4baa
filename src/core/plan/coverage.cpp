// Copies of segments, the best of each, and runs without a hole.
#include "core/plan/coverage.h"

#include <algorithm>

#include "core/repo/layout.h"

namespace pitr {

namespace {

// Up to where a .partial or the pieces of an open segment reach without a hole.
Result<Lsn> EndOfOpen(const WalReader& reader, SegmentId segment) {
  const std::uint64_t size = reader.segment_size();
  const Lsn start = SegmentStart(segment.number, size);
  PITR_ASSIGN_OR_RETURN(const WalReader::Found found, reader.FindSegment(segment));
  if (found.is_partial) {
    PITR_ASSIGN_OR_RETURN(const wal::SegmentIndex index, reader.ReadIndex(segment));
    return std::max({start, index.head_end, index.last_end});
  }
  if (!found.from_tail) {
    return start + size;  // whole in the meantime
  }
  std::vector<layout::TailPiece> pieces;
  for (const std::string& name : found.pieces) {
    const auto piece = layout::ParseTailName(layout::LastPart(name), size);
    if (piece.has_value()) {
      pieces.push_back(*piece);
    }
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::uint32_t end = 0;
  for (const layout::TailPiece& piece : pieces) {
    if (piece.begin <= end) {
      end = std::max(end, piece.end);
    }
  }
  return start + end;
}

// The segments that an ancestor wrote on a timeline that it opened after the fork are another history under the
// same number.
bool IsForeign(const WalReader::Held& held, const PathPart& part,
               const std::vector<LineSpan>& lines) {
  for (const LineSpan& line : lines) {
    if (line.branch.id == held.branch) {
      const bool is_empty =
          part.begin == part.end;  // a fork before the timeline began: its own bytes
      return !is_empty && line.end.valid() && part.begin.valid() && line.end <= part.begin;
    }
  }
  return true;
}

}  // namespace

void Coverage::Add(const SegmentCopy& copy) {
  std::vector<SegmentCopy>& list = copies_[copy.segment.number];
  const auto place = std::find_if(list.begin(), list.end(), [&](const SegmentCopy& other) {
    return other.segment.timeline < copy.segment.timeline;
  });
  list.insert(place, copy);
}

void Coverage::FindRuns() {
  for (const auto& [number, list] : copies_) {
    const SegmentCopy* best = &list.front();
    for (const SegmentCopy& copy : list) {
      best = copy.end > best->end ? &copy : best;
    }
    const bool whole = best->end == SegmentStart(number + 1, segment_size_);
    const bool follows =
        !slots_.empty() && slots_.back().whole && slots_.back().number() + 1 == number;
    slots_.push_back({*best, whole});
    if (!follows) {
      runs_.push_back({slots_.size() - 1, 0});
    }
    runs_.back().last = slots_.size() - 1;
  }
}

Result<Coverage> Coverage::Read(const WalReader& reader, const std::vector<LineSpan>& lines,
                                const std::vector<PathPart>& path) {
  Coverage coverage;
  coverage.segment_size_ = reader.segment_size();
  for (const PathPart& part : path) {
    PITR_ASSIGN_OR_RETURN(const std::vector<WalReader::Held> segments,
                          reader.Segments(part.timeline));
    for (const WalReader::Held& held : segments) {
      const Lsn start = SegmentStart(held.segment.number, coverage.segment_size_);
      Lsn end = start + coverage.segment_size_;
      if (IsForeign(held, part, lines) || end <= part.begin ||
          (part.end.valid() && part.end <= start)) {
        continue;
      }
      if (held.tail_only) {
        PITR_ASSIGN_OR_RETURN(end, EndOfOpen(reader, held.segment));
      }
      end = part.end.valid() ? std::min(end, part.end) : end;
      coverage.Add({held.segment, end, held.tail_only, held.stored_bytes});
    }
  }
  coverage.FindRuns();
  return coverage;
}

const SegmentCopy* Coverage::CopyFor(std::uint64_t number, Lsn end, TimelineId timeline) const {
  const auto found = copies_.find(number);
  if (found == copies_.end()) {
    return nullptr;
  }
  const SegmentCopy* later = nullptr;
  for (const SegmentCopy& copy : found->second) {
    if (copy.end < end) {
      continue;
    }
    if (copy.segment.timeline <= timeline) {
      return &copy;
    }
    later = &copy;
  }
  return later;
}

}  // namespace pitr
