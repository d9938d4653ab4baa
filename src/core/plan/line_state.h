// What a LineHistory holds. Inside plan/ only.
#pragma once

#include "core/plan/coverage.h"
#include "core/plan/index_cache.h"
#include "core/plan/line_history.h"
#include "core/types/lsn_ranges.h"

namespace pitr {

// A record that ends with a page ends at the page's boundary (EndRecPtr); the next one starts behind the header of the
// page that follows, and that place is what pg_current_wal_insert_lsn() shows. Both stand for the same point: these give
// the one and the other form. XLogBytePosToEndRecPtr and XLogBytePosToRecPtr, xlog.c (15).
Lsn AsEnd(Lsn lsn, std::uint64_t segment_size);
Lsn AsStart(Lsn lsn, std::uint64_t segment_size);

// Refers to itself: never moved.
struct LineHistory::State {
  State(std::vector<LineSpan> spans, std::vector<PathPart> parts, WalReader wal, Coverage held)
      : lines(std::move(spans)),
        path(std::move(parts)),
        reader(std::move(wal)),
        coverage(std::move(held)),
        cache(&reader, &coverage) {}

  const std::vector<LineSpan> lines;
  const std::vector<PathPart> path;
  const WalReader reader;
  const Coverage coverage;
  std::vector<Stretch> stretches;  // one for each of coverage.runs()
  LsnRanges removed_holes;         // between them, what retention has removed
  mutable IndexCache cache;

  std::uint64_t segment_size() const { return coverage.segment_size(); }
  const std::vector<Coverage::Slot>& slots() const { return coverage.slots(); }
  // The slot of the byte before `lsn`. REQUIRES: that byte lies in a run.
  std::size_t SlotBefore(Lsn lsn) const;
  Status FindStretches();
  Status FindRemovedHoles();
  Result<Lsn> LastEnd(const Coverage::Run& run) const;
};

}  // namespace pitr
