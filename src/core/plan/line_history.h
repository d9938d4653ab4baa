// The history of one line as the repository holds it: the path of timelines that it runs through, the stretches
// of WAL that are there without a hole, and questions of time and place answered from the WAL indexes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/repo/branches.h"
#include "core/repo/manifest.h"
#include "core/repo/wal_archive.h"

namespace pitr {

// One timeline's part of the path, [begin, end); end invalid = open.
struct PathPart {
  TimelineId timeline = 0;
  Lsn begin, end;
};

// A stretch of WAL held without a hole, along the path.
struct Stretch {
  Lsn begin;                 // start of the first segment
  Lsn end;                   // end of the last record that is whole here (a tail piece counts)
  TimelineId timeline = 0;   // at `end`
};

struct CommitAt {
  wal::Event event;
  TimelineId timeline = 0;
};

// What lies around a point in LSN order, abort records excepted.
struct Neighbours {
  std::optional<CommitAt> last;    // the last commit in
  std::optional<CommitAt> next;    // the first commit out
  int out_of_order = 0;            // later commits whose time is not later than the target's (clock disorder)
};

class LineHistory {
 public:
  // The line of branch `id` (its head). Reads listings and history files, no index yet; indexes are cached in this object.
  static Result<std::unique_ptr<LineHistory>> Open(Repository* repo, const BranchSet& branches, const BranchId& id);
  ~LineHistory();

  const BranchId& branch() const;
  const RootIdentity& root() const;
  const std::vector<PathPart>& path() const;          // oldest first, at least one
  const std::vector<Stretch>& stretches() const;      // oldest first; may be empty
  // Segments of the path in order, for counting and for `missing`.
  struct PathSegment { SegmentId segment; bool held = false, tail_only = false; std::uint64_t stored_bytes = 0; };
  std::vector<PathSegment> SegmentsBetween(Lsn begin, Lsn end) const;
  TimelineId TimelineAt(Lsn lsn) const;

  // The server's own rule: walk commits and aborts from `from` in LSN order, stop before the first whose time is
  // later than T (inclusive) or not earlier than T (exclusive); `last` is the last commit before that.
  Result<Neighbours> AtTime(Timestamp time, bool inclusive, Lsn from) const;
  // Commits around an LSN: `last` ends at or before it, `next` is the first after.
  Result<Neighbours> AtLsn(Lsn lsn, Lsn from) const;
  // All events from `from` in order until `visit` returns false; fragments over segment borders joined.
  Status VisitEvents(Lsn from, const std::function<bool(const wal::Event&, TimelineId)>& visit) const;
  // The newest restore point of that name / the commit of that xid (newest); nullopt when there is none.
  Result<std::optional<CommitAt>> FindRestorePoint(const std::string& name) const;
  Result<std::optional<CommitAt>> FindXid(Xid xid) const;
  // The last record that ends at or before `lsn` (start and end), by walking the segment's bytes. kGap / kOutsideWindow
  // when that WAL is not held; `lsn` beyond the end of what is held is kOutsideWindow.
  Result<std::pair<Lsn, Lsn>> LastRecordEndingAt(Lsn lsn) const;
  // Indexes of the segments that hold [begin, end), joined; for settings, drops, custom resource managers.
  Status VisitIndexes(Lsn begin, Lsn end, const std::function<Status(const wal::SegmentIndex&)>& visit) const;
  const WalReader& reader() const;

 private:
  struct State;
  explicit LineHistory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pitr
