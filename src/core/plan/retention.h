// What of snapshots and WAL somebody may still need, and what nobody can need any more. Pure; core/plan/retention_view reads what it is told.
//
// A *line* that somebody may go back on (every branch that is not deleted for good) has a restore window. Of its path, through its ancestors,
//
//   - the newest good snapshot from before the window stays (its *base*), and all WAL from that snapshot's start on, in the folder of each line
//     that the path runs through, up to where the next one left it;
//   - every later snapshot stays, but one that has expired and is not needed to get over a gap;
//   - so do the newest pitr.minimum_snapshots good ones.
//
// So a child holds what it needs of its ancestors, whatever their own windows are. Beside that a snapshot stays when it is kept, pinned, not
// expired, or among those of the classes of its branch; such a one holds the WAL of its own backup only.
//
// In doubt something stays: a line without a good snapshot keeps everything, a line whose window is not known too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/plan/line_path.h"
#include "core/repo/manifest.h"
#include "core/repo/retention_rules.h"
#include "core/types/lsn_ranges.h"

namespace pitr {

// The whole segments of one branch on one timeline, by number, and how large they are in the repository.
struct SegmentList {
  std::vector<std::uint64_t> numbers;
  std::vector<std::uint32_t> bytes;
};
using SegmentLists = std::map<std::pair<BranchId, TimelineId>, SegmentList>;

struct RetainedLine {
  std::vector<LineSpan> lines;            // LinesOf
  std::vector<PathPart> path;             // PathOf
  std::optional<Timestamp> window_start;  // nullopt: not known
  std::int64_t minimum_snapshots = 1;
  RetentionRules rules;  // its classes
  const BranchId& id() const { return lines.front().branch.id; }
};

struct RetainedSnapshot {
  const Manifest* manifest = nullptr;  // its head
  bool kept = false, pinned = false;
  bool damaged = false;  // it could not be read when it was verified
};

struct RetentionInput {
  Timestamp now;
  RootIdentity root;  // of all lines
  std::vector<RetainedLine> lines;
  std::vector<RetainedSnapshot> snapshots;
  std::set<BranchId> known;  // every branch of the catalogue, those that are deleted for good too
  SegmentLists segments;
};

struct SnapshotVerdict {
  bool stays = false;
  std::string reason;  // either way
};

struct RetentionPlan {
  std::vector<SnapshotVerdict> snapshots;  // as in the input
  // Of each branch's folder; whole segments. Of a branch that is not here nothing is needed.
  std::map<BranchId, LsnRanges> needed_wal;
  // From when on every moment of a line can be restored; a line without a good snapshot is not here.
  std::map<BranchId, Timestamp> window_start;
};

RetentionPlan PlanRetention(const RetentionInput& input);

// Every byte of [from, to) is held in whole segments of the timeline through which the line's history runs there.
bool IsHeld(const SegmentLists& segments, const RetainedLine& line, Lsn from, Lsn to);

}  // namespace pitr
