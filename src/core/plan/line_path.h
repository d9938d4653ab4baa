// Which lines wrote the history of a branch, and through which timelines it runs. Inside plan/ only.
#pragma once

#include <vector>

#include "core/repo/branches.h"
#include "core/repo/wal_archive.h"

namespace pitr {

// One timeline's part of the path, [begin, end); end invalid = open. The last part may be empty: a line that forked
// before `timeline` began, but was recovered along it.
struct PathPart {
  TimelineId timeline = 0;
  Lsn begin, end;
  bool IsEmpty() const { return end.valid() && begin == end; }
  bool Contains(Lsn lsn) const { return begin <= lsn && (!end.valid() || lsn < end); }
};

// What one line wrote of the history: [begin, end); end invalid = open.
struct LineSpan {
  Branch branch;
  Lsn begin, end;
  bool Contains(Lsn lsn) const { return begin <= lsn && (!end.valid() || lsn < end); }
};

// Newest first. A line that forked off before its ancestor did inherits nothing of that ancestor's own: such an
// ancestor is left out, so that its timelines (numbers that another line may use as well) are never looked at.
Result<std::vector<LineSpan>> LinesOf(const BranchSet& branches, const BranchId& id);

// Oldest first, at least one.
Result<std::vector<PathPart>> PathOf(Repository* repo, const std::vector<LineSpan>& lines);

// The part that holds a record starting at `lsn`.
const PathPart& PartAt(const std::vector<PathPart>& path, Lsn lsn);

}  // namespace pitr
