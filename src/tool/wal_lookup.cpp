#include "tool/wal_lookup.h"

#include <algorithm>

#include "core/plan/line_history.h"
#include "core/work/used_timelines.h"

namespace pitr::tool {

namespace {

// Without a thread to spare the answer is found when it is waited for.
constexpr std::launch kWhenever = std::launch::async | std::launch::deferred;

Result<WalLookup::Path> FindPath(Repository* repo, const BranchId& id, Lsn from, Lsn to) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> line, branches.AncestryOf(id));
  PITR_ASSIGN_OR_RETURN(const auto history, LineHistory::Open(repo, branches, id));
  WalLookup::Path path;
  for (const auto& segment : history->SegmentsBetween(from, to)) {
    path.segments.push_back(segment.segment);
  }
  for (const PathPart& part : history->path()) {
    path.timelines.push_back(part.timeline);
  }
  for (const Branch* branch : line) {
    path.line.push_back(*branch);
  }
  for (const Branch* branch : branches.FamilyOf(id)) {
    path.family.push_back(*branch);
  }
  return path;
}

Result<std::vector<TimelineId>> FindUsed(Repository* repo, const std::vector<Branch>& family,
                                         std::vector<TimelineId> more) {
  std::vector<const Branch*> members;
  for (const Branch& branch : family) {
    members.push_back(&branch);
  }
  PITR_ASSIGN_OR_RETURN(std::vector<TimelineId> used, UsedTimelines(repo, members));
  used.insert(used.end(), more.begin(), more.end());
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  return used;
}

}  // namespace

WalLookup::WalLookup(Repository* repo, const BranchId& line, Lsn from, Lsn to)
    : repo_(repo), path_(std::async(kWhenever, FindPath, repo, line, from, to)) {}

Result<WalLookup::Path> WalLookup::TakePath() {
  PITR_ASSIGN_OR_RETURN(Path path, path_.get());
  used_ = std::async(kWhenever, FindUsed, repo_, path.family, path.timelines);
  return path;
}

Result<std::vector<TimelineId>> WalLookup::TakeUsedTimelines() { return used_.get(); }

}  // namespace pitr::tool
