// What of a path is held, segment by segment. A segment in which a timeline begins exists on both timelines, and the
// newer one's copy begins with the older one's bytes: either stands for what lies before the switch, only the newer
// one for what lies behind it. Inside plan/ only.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/plan/line_path.h"

namespace pitr {

// Bytes of the path from the start of a segment to `end`, as one timeline's copy has them.
struct SegmentCopy {
  SegmentId segment;
  Lsn end;
  bool tail_only = false;
  std::uint64_t stored_bytes = 0;
};

class Coverage {
 public:
  struct Slot {
    SegmentCopy copy;    // the one that reaches farthest; of equal ones the newest timeline's
    bool whole = false;  // up to the segment's end
    std::uint64_t number() const { return copy.segment.number; }
  };
  struct Run {  // slots [first, last] follow each other without a hole
    std::size_t first = 0, last = 0;
  };

  // Listings; of segments that are there in pieces only, also the names of the pieces.
  static Result<Coverage> Read(const WalReader& reader, const std::vector<LineSpan>& lines,
                               const std::vector<PathPart>& path);
  const std::vector<Slot>& slots() const { return slots_; }
  const std::vector<Run>& runs() const { return runs_; }
  std::uint64_t segment_size() const { return segment_size_; }
  // The copy that a recovery along `timeline` would be given for the bytes of segment `number` up to `end`; a later
  // timeline's when there is no other; nullptr when they are not held.
  const SegmentCopy* CopyFor(std::uint64_t number, Lsn end, TimelineId timeline) const;

 private:
  void Add(const SegmentCopy& copy);
  void FindRuns();

  std::uint64_t segment_size_ = 0;
  std::map<std::uint64_t, std::vector<SegmentCopy>> copies_;  // newest timeline first
  std::vector<Slot> slots_;
  std::vector<Run> runs_;
};

}  // namespace pitr
