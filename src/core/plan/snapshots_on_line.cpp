// Which snapshots serve a line, and how far they reach.
#include "core/plan/snapshots_on_line.h"

#include <algorithm>

namespace pitr {

namespace {

bool Holds(Lsn begin, Lsn end, const Manifest& snapshot) {
  return begin <= snapshot.start_lsn && (!end.valid() || snapshot.stop_lsn <= end);
}

std::optional<std::size_t> StretchOf(const LineHistory& line, const Manifest& snapshot) {
  const std::vector<Stretch>& stretches = line.stretches();
  for (std::size_t i = 0; i < stretches.size(); i++) {
    if (stretches[i].begin <= snapshot.start_lsn && snapshot.stop_lsn <= stretches[i].end) {
      return i;
    }
  }
  return std::nullopt;
}

Status WithOldest(Status status, const std::vector<WindowRow>& rows) {
  if (rows.empty()) {
    return std::move(status)
        .WithDetail("There is no snapshot from which a restore could begin.")
        .WithHint("pitr_create_snapshot() takes one.");
  }
  return std::move(status).WithDetail(
      "The oldest point that can be reached is " +
      PointText(rows.front().earliest_time, rows.front().earliest_lsn) + ".");
}

}  // namespace

// Both tests are needed: two lines may have opened the same timeline number.
bool IsOnPath(const std::vector<LineSpan>& lines, const std::vector<PathPart>& path,
              const RootIdentity& root, const Manifest& snapshot) {
  const auto is_writer = [&](const LineSpan& span) {
    return span.branch.id == snapshot.branch && Holds(span.begin, span.end, snapshot);
  };
  const auto is_part = [&](const PathPart& part) {
    return part.timeline == snapshot.timeline && Holds(part.begin, part.end, snapshot);
  };
  return snapshot.root == root && snapshot.start_lsn < snapshot.stop_lsn &&
         std::any_of(lines.begin(), lines.end(), is_writer) &&
         std::any_of(path.begin(), path.end(), is_part);
}

std::vector<LineSnapshot> SnapshotsOn(const LineHistory& line,
                                      const std::vector<ManifestHead>& snapshots) {
  std::vector<LineSnapshot> found;
  for (const ManifestHead& head : snapshots) {
    if (IsOnPath(line.lines(), line.path(), line.root(), head.manifest)) {
      found.push_back({&head.manifest, StretchOf(line, head.manifest), head.frame_count});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const LineSnapshot& a, const LineSnapshot& b) {
    return a.manifest->stop_lsn < b.manifest->stop_lsn;
  });
  return found;
}

Result<std::vector<WindowRow>> ReachableOn(const LineHistory& line,
                                           const std::vector<LineSnapshot>& snapshots) {
  std::vector<WindowRow> rows;
  std::optional<std::size_t> done;
  for (const LineSnapshot& snapshot : snapshots) {
    if (!snapshot.stretch.has_value() || snapshot.stretch == done) {
      continue;  // the oldest snapshot of a stretch decides
    }
    done = snapshot.stretch;
    const Stretch& stretch = line.stretches()[*snapshot.stretch];
    const Manifest& base = *snapshot.manifest;
    WindowRow row;
    row.branch = row.line = line.name();
    row.line_id = line.branch();
    row.timeline = stretch.timeline;
    row.earliest_lsn = base.stop_lsn;
    row.latest_lsn = stretch.end;
    row.earliest_time = row.latest_time = base.finished_at;
    PITR_ASSIGN_OR_RETURN(const Neighbours first, line.AtLsn(base.stop_lsn, base.stop_lsn));
    if (first.next.has_value()) {
      row.earliest_time = std::min(base.finished_at, first.next->event.time);
      PITR_ASSIGN_OR_RETURN(const Neighbours last, line.AtLsn(stretch.end, base.stop_lsn));
      row.latest_time =
          std::max(*row.earliest_time,
                   last.last.has_value() ? last.last->event.time : first.next->event.time);
    }
    // The backup's own end switches the segment: that is not history yet.
    const std::uint64_t size = line.root().segment_size;
    row.snapshot_only =
        !first.next.has_value() && SegmentNumberOf({stretch.end.value - 1}, size) ==
                                       SegmentNumberOf({base.stop_lsn.value - 1}, size);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string PointText(const std::optional<Timestamp>& time, Lsn lsn) {
  return time.has_value() ? FormatTime(*time) + " (" + lsn.ToString() + ")" : lsn.ToString();
}

Status NoSnapshotReaches(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
                         const std::string& point) {
  PITR_ASSIGN_OR_RETURN(const std::vector<WindowRow> rows, ReachableOn(line, snapshots));
  return WithOldest(
      Status(Code::kNoSnapshot, "no snapshot of branch \"" + line.name() + "\" reaches " + point),
      rows);
}

Status BeyondTheEnd(const LineHistory& line, const std::vector<LineSnapshot>& snapshots, Lsn lsn) {
  const Status why = line.StretchAt(lsn).status();
  PITR_ASSIGN_OR_RETURN(const std::vector<WindowRow> rows, ReachableOn(line, snapshots));
  if (rows.empty()) {
    return why;
  }
  return Status(why).WithDetail("What can be reached is from " +
                                PointText(rows.front().earliest_time, rows.front().earliest_lsn) +
                                " to " +
                                PointText(rows.back().latest_time, rows.back().latest_lsn) + ".");
}

Status InGap(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
             const std::string& message, Lsn begin, Lsn end) {
  PITR_ASSIGN_OR_RETURN(const std::vector<WindowRow> rows, ReachableOn(line, snapshots));
  const WindowRow *before = nullptr, *after = nullptr;
  for (const WindowRow& row : rows) {
    if (row.latest_lsn <= begin || row.earliest_lsn < begin) {
      before = &row;
    }
    if (row.earliest_lsn >= end && after == nullptr) {
      after = &row;
    }
  }
  std::string detail = "The nearest points are ";
  detail +=
      before == nullptr
          ? "none before it"
          : PointText(before->latest_time, std::min(before->latest_lsn, begin)) + " before it";
  detail += " and ";
  detail += after == nullptr ? "none after it"
                             : PointText(after->earliest_time, after->earliest_lsn) + " after it";
  if (line.IsRemoved(begin, end)) {
    return Status(Code::kOutsideWindow, "the point lies outside the restore window of branch \"" +
                                            line.name() + "\": its WAL between " +
                                            begin.ToString() + " and " + end.ToString() +
                                            " was removed")
        .WithDetail(detail + ".");
  }
  return Status(Code::kGap, message).WithDetail(detail + ".");
}

Result<TimeAnswer> ResolveTime(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
                               Timestamp time, bool inclusive) {
  for (std::size_t i = snapshots.size(); i-- > 0;) {
    const LineSnapshot& snapshot = snapshots[i];
    if (!snapshot.stretch.has_value()) {
      continue;
    }
    const bool is_finished = snapshot.manifest->finished_at <= time;
    const bool has_older =
        std::any_of(snapshots.begin(), snapshots.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](const LineSnapshot& other) { return other.stretch == snapshot.stretch; });
    if (!is_finished && has_older) {
      continue;
    }
    TimeAnswer answer;
    answer.base = snapshot.manifest;
    PITR_ASSIGN_OR_RETURN(answer.around, line.AtTime(time, inclusive, snapshot.manifest->stop_lsn));
    const Neighbours& around = answer.around;
    if (!around.last.has_value() && !around.prepared.has_value() && !is_finished) {
      continue;
    }
    // Without anything later in this stretch, what is missing behind it may hold the answer.
    const Timestamp known =
        around.last.has_value() ? around.last->event.time : snapshot.manifest->finished_at;
    if (!around.beyond && known < time && *snapshot.stretch + 1 < line.stretches().size()) {
      const Lsn begin = line.stretches()[*snapshot.stretch].end;
      const Lsn end = line.stretches()[*snapshot.stretch + 1].begin;
      return InGap(line, snapshots,
                   FormatTime(time) + " lies in a gap of the WAL of branch \"" + line.name() +
                       "\": nothing is held from " + begin.ToString() + " to " + end.ToString(),
                   begin, end);
    }
    return answer;
  }
  return NoSnapshotReaches(line, snapshots, FormatTime(time));
}

}  // namespace pitr
