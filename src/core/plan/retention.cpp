// Which snapshots and which WAL are needed, by line, and why. Invariant: whatever is uncertain is needed.
#include "core/plan/retention.h"

#include <algorithm>
#include <limits>

#include "core/plan/snapshots_on_line.h"

namespace pitr {

namespace {

// "2026-11-20T10:00:00Z", from its beginning: the day, the month, the year.
constexpr std::size_t kDayDigits = 10, kMonthDigits = 7, kYearDigits = 4;
constexpr std::int64_t kMicrosPerDay = 86'400'000'000;
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

std::string WeekOf(Timestamp time) {
  // 1970-01-01 was a Thursday; weeks begin on Mondays.
  const std::int64_t days = time.micros / kMicrosPerDay;
  return std::to_string((days + 3) / 7);
}

std::string DigitsOf(Timestamp time, std::size_t digits) {
  return FormatTime(time, 0).substr(0, digits);
}

// The last byte that a part holds, or would.
Lsn EndOf(const PathPart& part) { return part.end.valid() ? part.end : kEndOfWal; }

// The part by whose timeline's copy a segment counts: the newest one that has bytes of it before `to`.
const PathPart* PartOfSegment(const std::vector<PathPart>& path, std::uint64_t number,
                              std::uint64_t size, Lsn to) {
  const Lsn begin = SegmentStart(number, size), end = std::min(begin + size, to);
  for (auto part = path.rbegin(); part != path.rend(); ++part) {
    if (!part->IsEmpty() && part->begin < end && begin < EndOf(*part)) {
      return &*part;
    }
  }
  return nullptr;
}

// The first segment behind what `list` holds without a hole from `number` on.
std::uint64_t RunEnd(const SegmentList& list, std::uint64_t number) {
  const auto at = std::lower_bound(list.numbers.begin(), list.numbers.end(), number);
  if (at == list.numbers.end() || *at != number) {
    return number;
  }
  // Ascending: the k-th behind it is number + k exactly as long as none is missing.
  std::size_t held = 1, missing = static_cast<std::size_t>(list.numbers.end() - at) + 1;
  while (missing - held > 1) {
    const std::size_t middle = held + (missing - held) / 2;
    (*(at + static_cast<std::ptrdiff_t>(middle) - 1) == number + middle - 1 ? held : missing) =
        middle;
  }
  return number + held;
}

// The first segment of a line's folder on that timeline that is not of this history any more; those of WalReader::Counts and Coverage.
std::uint64_t LimitOf(const RetainedLine& line, std::size_t at, const PathPart& part,
                      std::uint64_t size) {
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t later = 0; later < at; later++) {
    const Branch& left = line.lines[later].branch;
    if (left.fork_timeline != 0 && part.timeline > left.fork_timeline) {
      return 0;
    }
    limit = std::min(limit, (left.fork_lsn.value + size - 1) / size);
  }
  const Lsn end = line.lines[at].end;
  return end.valid() && part.begin.valid() && end <= part.begin ? 0 : limit;
}

class Planner {
 public:
  explicit Planner(const RetentionInput& input) : input_(input), size_(input.root.segment_size) {
    plan_.snapshots.resize(input.snapshots.size());
  }

  RetentionPlan Run() {
    for (const RetainedLine& line : input_.lines) {
      living_[line.id()] = &line;
    }
    TakeWhatIsKept();
    for (const RetainedLine& line : input_.lines) {
      TakeLine(line);
    }
    for (std::size_t i = 0; i < input_.snapshots.size(); i++) {
      SnapshotVerdict& verdict = plan_.snapshots[i];
      const Manifest& manifest = *input_.snapshots[i].manifest;
      if (verdict.stays) {
        Need(manifest.branch, manifest.start_lsn, manifest.stop_lsn);
      } else {
        verdict.reason = WhyItGoes(manifest);
      }
    }
    for (auto& [branch, ranges] : plan_.needed_wal) {
      ranges = SortedRanges(std::move(ranges));
    }
    return std::move(plan_);
  }

 private:
  struct OnLine {
    std::size_t snapshot = 0;  // in the input
    const Manifest* manifest = nullptr;
    bool is_good = false;  // a restore can begin from it
  };

  bool IsExpired(const Manifest& manifest) const {
    return manifest.expires_at && *manifest.expires_at <= input_.now;
  }

  void Keep(std::size_t snapshot, const std::string& reason) {
    SnapshotVerdict& verdict = plan_.snapshots[snapshot];
    if (!verdict.stays) {
      verdict = {true, reason};
    }
  }

  // Whole segments.
  void Need(const BranchId& branch, Lsn from, Lsn to) {
    const Lsn begin = SegmentStart(from.value / size_, size_);
    const Lsn end = to == kEndOfWal ? to : SegmentStart((to.value + size_ - 1) / size_, size_);
    plan_.needed_wal[branch].push_back({begin, end});
  }

  std::string WhyItGoes(const Manifest& manifest) const {
    if (IsExpired(manifest)) {
      return "it has expired at " + FormatTime(*manifest.expires_at, 0);
    }
    return living_.contains(manifest.branch)
               ? "it is older than the restore window, and no rule keeps it"
               : "its branch was deleted, and no other begins with it";
  }

  // What stays by itself, whatever windows there are.
  void TakeWhatIsKept() {
    for (std::size_t i = 0; i < input_.snapshots.size(); i++) {
      const RetainedSnapshot& snapshot = input_.snapshots[i];
      const Manifest& manifest = *snapshot.manifest;
      if (snapshot.kept) {
        Keep(i, "it is kept (pitr_keep_snapshot)");
      } else if (snapshot.pinned) {
        Keep(i, "a directory is being loaded from it");
      } else if (!input_.known.contains(manifest.branch) || manifest.root != input_.root) {
        Keep(i, "its branch is not known here");
      }
      const auto living = living_.find(manifest.branch);
      if (living == living_.end() || IsExpired(manifest)) {
        continue;
      }
      if (manifest.expires_at) {
        Keep(i, "it expires at " + FormatTime(*manifest.expires_at, 0));
      } else if (manifest.origin == "manual") {
        Keep(i, "it was taken by hand");
      } else if (manifest.origin == "schedule" && !living->second->rules.HasClasses()) {
        Keep(i, "its schedule keeps it for ever");
      }
    }
  }

  std::vector<OnLine> SnapshotsOf(const RetainedLine& line) const {
    std::vector<OnLine> found;
    for (std::size_t i = 0; i < input_.snapshots.size(); i++) {
      const RetainedSnapshot& snapshot = input_.snapshots[i];
      const Manifest& manifest = *snapshot.manifest;
      if (IsOnPath(line.lines, line.path, input_.root, manifest)) {
        const bool is_good = !snapshot.damaged &&
                             IsHeld(input_.segments, line, manifest.start_lsn, manifest.stop_lsn);
        found.push_back({i, &manifest, is_good});
      }
    }
    std::stable_sort(found.begin(), found.end(), [](const OnLine& a, const OnLine& b) {
      return a.manifest->stop_lsn < b.manifest->stop_lsn;
    });
    return found;
  }

  // In `on`: the newest good one from before the window, else the oldest good one; kNone without any. Where the clock went back, times of later
  // snapshots say nothing of earlier ones: the first one inside the window decides. Times that are still to come say nothing at all.
  std::size_t BaseOf(const RetainedLine& line, const std::vector<OnLine>& on) const {
    std::size_t oldest = kNone, base = kNone;
    bool is_inside = false;
    for (std::size_t i = 0; i < on.size(); i++) {
      const Timestamp finished = on[i].manifest->finished_at;
      const bool is_before = line.window_start && finished <= *line.window_start;
      is_inside = is_inside || (!is_before && finished <= input_.now);
      if (!on[i].is_good) {
        continue;
      }
      oldest = oldest == kNone ? i : oldest;
      if (is_before && !is_inside) {
        base = i;
      }
    }
    return base == kNone ? oldest : base;
  }

  void TakeLine(const RetainedLine& line) {
    const std::vector<OnLine> on = SnapshotsOf(line);
    const std::string of_line = " of branch \"" + line.lines.front().branch.name + "\"";
    const std::size_t base = BaseOf(line, on);
    Lsn floor;
    if (base == kNone || !line.window_start) {
      for (const OnLine& each : on) {
        Keep(each.snapshot, base == kNone ? "there is no good one" + of_line
                                          : "the restore window" + of_line + " is not known here");
      }
    } else {
      Keep(on[base].snapshot, "the restore window" + of_line + " begins with it");
      TakeWindow(line, on, base, of_line);
      TakeNewest(line, on, of_line);
      TakeClasses(line, on);
      floor = on[base].manifest->start_lsn;
      plan_.window_start[line.id()] = on[base].manifest->finished_at;
    }
    for (const OnLine& each : on) {
      // From one that is in use somebody may be replaying.
      if (input_.snapshots[each.snapshot].pinned) {
        floor = std::min(floor, each.manifest->start_lsn);
      }
    }
    for (const LineSpan& span : line.lines) {
      const Lsn end = span.end.valid() ? span.end : kEndOfWal;
      if (floor < end) {
        Need(span.branch.id, floor, end);
      }
    }
  }

  // Behind the base: expired ones may go where the WAL leads on from the one before.
  void TakeWindow(const RetainedLine& line, const std::vector<OnLine>& on, std::size_t base,
                  const std::string& of_line) {
    const Manifest* before = on[base].manifest;
    for (std::size_t i = base + 1; i < on.size(); i++) {
      const Manifest& manifest = *on[i].manifest;
      const bool is_bad = input_.snapshots[on[i].snapshot].damaged;
      if (IsExpired(manifest) &&
          (is_bad || IsHeld(input_.segments, line, before->start_lsn, manifest.stop_lsn))) {
        continue;
      }
      Keep(on[i].snapshot, "it lies in the restore window" + of_line);
      before = on[i].is_good ? &manifest : before;
    }
  }

  void TakeNewest(const RetainedLine& line, const std::vector<OnLine>& on,
                  const std::string& of_line) {
    // The last good one stays whatever is set.
    std::int64_t left = std::max<std::int64_t>(1, line.minimum_snapshots);
    for (std::size_t i = on.size(); i-- > 0 && left > 0;) {
      if (on[i].is_good) {
        Keep(on[i].snapshot, "it is one of the newest" + of_line + " (pitr.minimum_snapshots)");
        left--;
      }
    }
  }

  // Of the branch's own good snapshots that have not expired, the newest of each class.
  void TakeClasses(const RetainedLine& line, const std::vector<OnLine>& on) {
    std::set<std::string> days, weeks, months, years;
    std::int64_t count = 0;
    const auto take = [&](const OnLine& each, const std::optional<std::int64_t>& wanted,
                          const std::string& key, std::set<std::string>* seen, const char* what) {
      if (wanted && static_cast<std::int64_t>(seen->size()) < *wanted && seen->insert(key).second) {
        Keep(each.snapshot, std::string("it is the newest of its ") + what);
      }
    };
    for (std::size_t i = on.size(); i-- > 0;) {
      const Manifest& manifest = *on[i].manifest;
      if (manifest.branch != line.id() || !on[i].is_good || IsExpired(manifest)) {
        continue;
      }
      const RetentionRules& rules = line.rules;
      const bool is_counted = manifest.origin != "manual" && manifest.origin != "replay";
      if (rules.keep_count && is_counted && count++ < *rules.keep_count) {
        Keep(on[i].snapshot, "it is one of the newest " + std::to_string(*rules.keep_count));
      }
      const Timestamp time = manifest.finished_at;
      take(on[i], rules.daily, DigitsOf(time, kDayDigits), &days, "day");
      take(on[i], rules.weekly, WeekOf(time), &weeks, "week");
      take(on[i], rules.monthly, DigitsOf(time, kMonthDigits), &months, "month");
      take(on[i], rules.yearly, DigitsOf(time, kYearDigits), &years, "year");
    }
  }

  const RetentionInput& input_;
  const std::uint64_t size_;
  std::map<BranchId, const RetainedLine*> living_;
  RetentionPlan plan_;
};

}  // namespace

bool IsHeld(const SegmentLists& segments, const RetainedLine& line, Lsn from, Lsn to) {
  const std::uint64_t size = line.lines.front().branch.root.segment_size;
  if (!(from < to)) {
    return false;
  }
  const std::uint64_t behind = (to.value - 1) / size + 1;
  for (std::uint64_t number = from.value / size; number < behind;) {
    const PathPart* part = PartOfSegment(line.path, number, size, to);
    if (part == nullptr) {
      return false;
    }
    // Where the part ends within a segment, the next one decides about that.
    const std::uint64_t decided =
        to <= EndOf(*part) ? behind : std::max(number + 1, part->end.value / size);
    std::uint64_t reached = number;
    for (std::size_t i = 0; i < line.lines.size(); i++) {
      const auto list = segments.find({line.lines[i].branch.id, part->timeline});
      if (list != segments.end() && number < LimitOf(line, i, *part, size)) {
        reached = std::max(reached,
                           std::min(RunEnd(list->second, number), LimitOf(line, i, *part, size)));
      }
    }
    if (reached == number) {
      return false;
    }
    number = std::min(reached, decided);
  }
  return true;
}

RetentionPlan PlanRetention(const RetentionInput& input) { return Planner(input).Run(); }

}  // namespace pitr
