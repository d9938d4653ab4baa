// The history of one line as the repository holds it: the path of timelines that it runs through, the stretches
// of WAL that are there without a hole, and questions of time and place answered from the WAL indexes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/plan/line_path.h"
#include "core/repo/branches.h"
#include "core/repo/manifest.h"
#include "core/repo/wal_archive.h"

namespace pitr {

// A stretch of WAL held without a hole, along the path.
struct Stretch {
  Lsn begin;                // start of the first segment
  Lsn end;                  // end of the last record that is whole here (a tail piece counts)
  TimelineId timeline = 0;  // at `end`
};

struct CommitAt {
  wal::Event event;
  TimelineId timeline = 0;
};

// What lies around a point in LSN order, abort records excepted.
struct Neighbours {
  std::optional<CommitAt> last;  // the last commit in
  std::optional<CommitAt> next;  // the first commit out
  int out_of_order = 0;  // later commits whose time is not later than the target's (clock disorder)
  // Of AtTime only. A transaction prepared after `last` and not after the target is part of the point too.
  std::optional<CommitAt> prepared;
  bool beyond = false;  // a commit or abort later than the target was found
};

// Not for use by several threads at once: indexes that were read are kept.
class LineHistory {
 public:
  // The line of branch `id` (its head). Reads listings, history files, and the index at the end of each stretch.
  static Result<std::unique_ptr<LineHistory>> Open(Repository* repo, const BranchSet& branches,
                                                   const BranchId& id);
  ~LineHistory();
  LineHistory(const LineHistory&) = delete;
  LineHistory& operator=(const LineHistory&) = delete;

  const BranchId& branch() const;
  const std::string& name() const;
  const RootIdentity& root() const;
  const std::vector<PathPart>& path() const;      // oldest first, at least one
  const std::vector<LineSpan>& lines() const;     // who wrote which part of it, newest first
  const std::vector<Stretch>& stretches() const;  // oldest first; may be empty
  // Segments of the path in order, for counting and for `missing`: one for each number, as a recovery along the timeline
  // of `end` is given it. It can be a later timeline's, whose copy begins with the same bytes. What is not held has the
  // name that the recovery would ask for.
  struct PathSegment {
    SegmentId segment;
    bool held = false, tail_only = false;
    std::uint64_t stored_bytes = 0;
  };
  std::vector<PathSegment> SegmentsBetween(Lsn begin, Lsn end) const;
  TimelineId TimelineAt(Lsn lsn) const;     // of a record that starts there
  const LineSpan& WriterAt(Lsn lsn) const;  // the line that wrote a record that starts there
  // Index in stretches(): begin <= lsn <= end. kOutsideWindow before the first and behind the last and where WAL was removed, kGap
  // in other holes.
  Result<std::size_t> StretchAt(Lsn lsn) const;

  // Part of [begin, end) is in a hole that retention has made (core/repo/wal_removals.h), not a loss.
  bool IsRemoved(Lsn begin, Lsn end) const;

  // The server's own rule: walk commits and aborts from `from` in LSN order, stop before the first whose time is
  // later than T (inclusive) or not earlier than T (exclusive); `last` is the last commit before that. Stays within the
  // stretch of `from`. A step of the clock by more than kClockMargin can hide a commit that runs over a segment border.
  Result<Neighbours> AtTime(Timestamp time, bool inclusive, Lsn from) const;
  // Commits around an LSN: `last` ends at or before it (and starts at or after `from`), `next` is the first after.
  Result<Neighbours> AtLsn(Lsn lsn, Lsn from) const;
  // All events from `from` in order until `visit` returns false; fragments over segment borders joined, holes skipped.
  Status VisitEvents(Lsn from,
                     const std::function<bool(const wal::Event&, TimelineId)>& visit) const;
  // The event of any kind that starts at `lsn`, a page boundary being the same place as behind that page's header.
  Result<std::optional<CommitAt>> EventStartingAt(Lsn lsn) const;
  // The newest restore point of that name / the commit of that xid (newest) / its abort; nullopt when there is none.
  Result<std::optional<CommitAt>> FindRestorePoint(const std::string& name) const;
  Result<std::optional<CommitAt>> FindXid(Xid xid) const;
  Result<std::optional<CommitAt>> FindAbort(Xid xid) const;
  // The last record that ends at or before `lsn` (start and end), by walking the segment's bytes. kGap / kOutsideWindow
  // when that WAL is not held; `lsn` beyond the end of what is held is kOutsideWindow.
  Result<std::pair<Lsn, Lsn>> LastRecordEndingAt(Lsn lsn) const;
  // Transaction of the record that starts at `start`; nullopt when no record starts there.
  Result<std::optional<Xid>> XidOfRecordAt(Lsn start) const;
  // Indexes of the segments that hold [begin, end), joined; for settings, drops, custom resource managers. `blocks` is
  // empty unless asked for. Segments that are not held are skipped.
  Status VisitIndexes(Lsn begin, Lsn end,
                      const std::function<Status(const wal::SegmentIndex&)>& visit,
                      bool with_blocks = false) const;
  const WalReader& reader() const;
  std::uint64_t bodies_read() const;  // indexes decoded whole so far

  static constexpr std::int64_t kClockMarginMicros = 5 * 60 * 1000000LL;
  static constexpr std::size_t kDisorderSegments =
      128;  // how far behind the target out_of_order looks

 private:
  struct State;
  friend class EventSearch;
  explicit LineHistory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pitr
