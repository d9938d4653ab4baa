// Snapshots that a line's history runs through, what can be reached from them, and the words for what can not. Inside
// plan/ and find/ only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/plan/line_history.h"
#include "core/plan/line_path.h"
#include "core/plan/restore_plan.h"
#include "core/repo/manifest.h"

namespace pitr {

struct LineSnapshot {
  const Manifest* manifest = nullptr;  // of the list that was given; its head
  // The stretch that holds the WAL from its start to its stop; nullopt when that is not all there (yet).
  std::optional<std::size_t> stretch;
  std::uint64_t frames = 0;
};

// Written by one of the lines, on the timeline and within the part that belong to this history.
bool IsOnPath(const std::vector<LineSpan>& lines, const std::vector<PathPart>& path,
              const RootIdentity& root, const Manifest& snapshot);

// Those on the path, by stop LSN, oldest first. `snapshots` must outlive the result.
std::vector<LineSnapshot> SnapshotsOn(const LineHistory& line,
                                      const std::vector<ManifestHead>& snapshots);

// The stretches that can be reached, oldest first.
Result<std::vector<WindowRow>> ReachableOn(const LineHistory& line,
                                           const std::vector<LineSnapshot>& snapshots);

// "2026-11-20T10:00:00Z (0/3000148)".
std::string PointText(const std::optional<Timestamp>& time, Lsn lsn);
// kNoSnapshot, kOutsideWindow and kGap with limits and nearest points.
Status NoSnapshotReaches(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
                         const std::string& point);
Status BeyondTheEnd(const LineHistory& line, const std::vector<LineSnapshot>& snapshots, Lsn lsn);
Status InGap(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
             const std::string& message, Lsn begin, Lsn end);

// What a time means on a line.
struct TimeAnswer {
  Neighbours around;               // from the snapshot's stop on
  const Manifest* base = nullptr;  // from whose stop the walk began
};
// Walks from the newest snapshot that was finished by then; without a commit in `around` the answer is its stop point.
// The oldest snapshot of a stretch also serves for times before its end, once a commit lies between. Every result but
// kGap and kNoSnapshot is one that a server, started from that snapshot, would stop at.
Result<TimeAnswer> ResolveTime(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
                               Timestamp time, bool inclusive);

}  // namespace pitr
