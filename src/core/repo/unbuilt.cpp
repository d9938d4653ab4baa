#include "core/repo/unbuilt.h"

#include "core/base/process.h"
#include "core/repo/pins.h"

namespace pitr {

namespace {

constexpr std::int64_t kGivenUpMicros = 7LL * 86400 * 1000000;

}  // namespace

bool IsGivenUp(const Branch& branch, Timestamp now) {
  return branch.state == "creating" &&
         (branch.updated_at.micros < now.micros - kGivenUpMicros ||
          (branch.builder_process && IsProcessGone(*branch.builder_process)));
}

Status DropUnbuilt(Repository* repo, const std::set<BranchId>& lines, Timestamp now) {
  if (lines.empty()) return Status::Ok();
  PITR_RETURN_IF_ERROR(UpdateBranches(repo, [&](BranchSet* set) {
    for (const BranchId& line : lines)
      set->GiveUp(line, now);
    return Status::Ok();
  }));
  PITR_ASSIGN_OR_RETURN(const BranchSet left, ReadBranches(repo));
  for (const BranchId& line : lines) {
    // A pin of a line that is not there is void already.
    const Branch* branch = left.FindId(line);
    if (branch == nullptr || branch->deleted_at) PITR_RETURN_IF_ERROR(UnpinBranch(repo, line));
  }
  return Status::Ok();
}

Status DropGivenUp(Repository* repo, const BranchSet& branches, const BranchId& self,
                   Timestamp now) {
  std::set<BranchId> lines;
  for (const Branch& branch : branches.branches) {
    if (branch.id != self && IsGivenUp(branch, now)) lines.insert(branch.id);
  }
  return DropUnbuilt(repo, lines, now);
}

}  // namespace pitr
