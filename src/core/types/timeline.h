// Timeline history files: which timeline a line of history came through, and where it switched.
// src/backend/access/transam/timeline.c (15): lines "<parent tli>\t<switch LSN>\t<reason>", '#' comments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/types/lsn.h"

namespace pitr {

struct TimelineSwitch {
  TimelineId timeline = 0;  // the timeline that was left
  Lsn end;                  // where it was left: the next one begins here
};

// The ancestry of one timeline, oldest first, without the timeline itself.
struct TimelineHistory {
  TimelineId timeline = 0;
  std::vector<TimelineSwitch> ancestors;

  // Timeline that holds the record starting at `lsn` on this line. REQUIRES: nothing; an LSN at or
  // after the last switch is on `timeline` itself.
  TimelineId TimelineAt(Lsn lsn) const;
  // Start of `tli` on this line (0/0 for the first), end (invalid = open); false if not on the line.
  // A timeline that is named but left no WAL on the line (timeline.cpp says when) has begin == end.
  bool RangeOf(TimelineId tli, Lsn* begin, Lsn* end) const;

  // kCorrupt for a malformed line, timelines not ascending, or a timeline above 1 without ancestors.
  // Timeline 1 has the empty history. Switch points need not ascend.
  static Result<TimelineHistory> Parse(TimelineId timeline, std::string_view text);
};

}  // namespace pitr
