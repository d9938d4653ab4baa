#include "core/repo/unbuilt.h"

#include "core/base/process.h"
#include "core/repo/pins.h"

namespace pitr {

namespace {

constexpr std::int64_t kGivenUpMicros = 7LL * 86400 * 1000000;

}  // namespace

bool IsGivenUp(const Branch& branch, Timestamp now) {
  return branch.state == "creating" &&
         (branch.created_at.micros < now.micros - kGivenUpMicros ||
          (branch.builder_process && IsProcessGone(*branch.builder_process)));
}

Status DropUnbuilt(Repository* repo, const std::set<BranchId>& lines) {
  if (lines.empty()) return Status::Ok();
  PITR_RETURN_IF_ERROR(UpdateBranches(repo, [&](BranchSet* set) {
    std::erase_if(set->branches, [&](const Branch& branch) {
      return lines.contains(branch.id) && branch.state == "creating";
    });
    std::erase_if(set->name_spans,
                  [&](const NameSpan& span) { return set->FindId(span.id) == nullptr; });
    return Status::Ok();
  }));
  PITR_ASSIGN_OR_RETURN(const BranchSet now, ReadBranches(repo));
  for (const BranchId& line : lines) {
    // A pin of a line that is not there is void already.
    if (now.FindId(line) == nullptr) PITR_RETURN_IF_ERROR(UnpinBranch(repo, line));
  }
  return Status::Ok();
}

Status DropGivenUp(Repository* repo, const BranchSet& branches, const BranchId& self,
                   Timestamp now) {
  std::set<BranchId> lines;
  for (const Branch& branch : branches.branches) {
    if (branch.id != self && IsGivenUp(branch, now)) lines.insert(branch.id);
  }
  return DropUnbuilt(repo, lines);
}

}  // namespace pitr
