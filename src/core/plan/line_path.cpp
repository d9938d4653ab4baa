// Lines and timelines from the catalogue and the history files.
#include "core/plan/line_path.h"

#include <algorithm>

#include "core/types/timeline.h"

namespace pitr {

namespace {

std::vector<Branch> BranchesOf(const std::vector<LineSpan>& lines) {
  std::vector<Branch> branches;
  branches.reserve(lines.size());
  for (const LineSpan& line : lines) {
    branches.push_back(line.branch);
  }
  return branches;
}

// nullopt when no history file is there. The line's own files come before those of its ancestors: two
// lines may have opened the same number.
Result<std::optional<TimelineHistory>> HistoryOf(const WalReader& own, const WalReader& all,
                                                 TimelineId timeline) {
  if (timeline <= 1) {
    TimelineHistory first;
    first.timeline = timeline;
    return std::optional<TimelineHistory>(first);
  }
  Result<std::string> text = own.ReadHistory(timeline);
  if (!text.ok() && text.status().code() == Code::kNotFound) {
    text = all.ReadHistory(timeline);
  }
  if (!text.ok()) {
    if (text.status().code() == Code::kNotFound) {
      return std::optional<TimelineHistory>();
    }
    return std::move(text).status();
  }
  PITR_ASSIGN_OR_RETURN(TimelineHistory history, TimelineHistory::Parse(timeline, *text));
  return std::optional<TimelineHistory>(std::move(history));
}

std::vector<PathPart> PartsOf(const TimelineHistory& history) {
  std::vector<PathPart> parts;
  const auto add = [&](TimelineId timeline) {
    PathPart part;
    part.timeline = timeline;
    if (history.RangeOf(timeline, &part.begin, &part.end) && !part.IsEmpty()) {
      parts.push_back(part);
    }
  };
  for (const TimelineSwitch& ancestor : history.ancestors) {
    add(ancestor.timeline);
  }
  add(history.timeline);
  return parts;
}

// A timeline counts as this line's own when its history runs through the fork. Older ones and the fork's own
// timeline can lie in its space too (a .partial that a promotion left), but lead nowhere.
bool LeadsThrough(const TimelineHistory& history, const LineSpan& line) {
  if (!line.branch.ancestor.has_value()) {
    return true;
  }
  Lsn begin, end;
  return history.timeline > line.branch.fork_timeline &&
         history.RangeOf(line.branch.fork_timeline, &begin, &end) && begin <= line.branch.fork_lsn;
}

std::vector<PathPart> CutAt(std::vector<PathPart> parts, const Branch& branch) {
  std::erase_if(parts, [&](const PathPart& part) { return part.begin >= branch.fork_lsn; });
  if (parts.empty() || parts.back().timeline != branch.fork_timeline) {
    parts.push_back({branch.fork_timeline, branch.fork_lsn, branch.fork_lsn});
  }
  parts.back().end = branch.fork_lsn;
  return parts;
}

}  // namespace

Result<std::vector<LineSpan>> LinesOf(const BranchSet& branches, const BranchId& id) {
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> ancestry, branches.AncestryOf(id));
  std::vector<LineSpan> lines;
  Lsn limit;
  for (const Branch* branch : ancestry) {
    const Lsn begin = branch->ancestor.has_value() ? branch->fork_lsn : Lsn();
    if (lines.empty() || begin < limit) {
      lines.push_back({*branch, begin, limit});
      limit = begin;
    }
  }
  return lines;
}

Result<std::vector<PathPart>> PathOf(Repository* repo, const std::vector<LineSpan>& lines) {
  const LineSpan& self = lines.front();
  const WalReader own(repo, {self.branch});
  const WalReader all(repo, BranchesOf(lines));
  PITR_ASSIGN_OR_RETURN(const std::vector<TimelineId> timelines, own.Timelines());
  for (auto timeline = timelines.rbegin(); timeline != timelines.rend(); ++timeline) {
    PITR_ASSIGN_OR_RETURN(const std::optional<TimelineHistory> history,
                          HistoryOf(own, all, *timeline));
    if (history.has_value() && LeadsThrough(*history, self)) {
      return PartsOf(*history);
    }
  }
  if (!self.branch.ancestor.has_value()) {
    // No history file: archiving began on a later timeline, of whose past nothing is known here.
    return std::vector<PathPart>{{timelines.empty() ? 1 : timelines.back(), Lsn(), Lsn()}};
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<TimelineHistory> history,
                        HistoryOf(own, all, self.branch.fork_timeline));
  if (!history.has_value()) {
    return Status(Code::kCorrupt, "the history file of timeline " +
                                      std::to_string(self.branch.fork_timeline) +
                                      ", on which branch \"" + self.branch.name +
                                      "\" begins, is not in the repository");
  }
  return CutAt(PartsOf(*history), self.branch);
}

const PathPart& PartAt(const std::vector<PathPart>& path, Lsn lsn) {
  const auto found = std::find_if(path.rbegin(), path.rend(),
                                  [&](const PathPart& part) { return part.Contains(lsn); });
  // At or after the end of a path that is cut: the part that the cut ended.
  if (found != path.rend()) {
    return *found;
  }
  return lsn < path.front().begin ? path.front() : path.back();
}

}  // namespace pitr
