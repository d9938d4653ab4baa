// From a written point to a line and the last record to replay. Inside plan/ only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/plan/restore_plan.h"
#include "core/plan/snapshots_on_line.h"

namespace pitr {

// Lines that were opened for one question, and the snapshots of the repository.
class PlanningView {
 public:
  PlanningView(Repository* repo, const BranchSet& branches) : repo_(repo), branches_(branches) {}
  Status ReadSnapshots();
  // Stays valid as long as this.
  Result<const LineHistory*> Line(const BranchId& id);
  std::vector<LineSnapshot> SnapshotsOf(const LineHistory& line) const {
    return SnapshotsOn(line, snapshots_);
  }
  const std::vector<ManifestHead>& snapshots() const { return snapshots_; }
  const BranchSet& branches() const { return branches_; }
  Repository* repo() const { return repo_; }
  // Lines that showed the name of branch `id` before it, newest first, without deleted ones.
  std::vector<BranchId> OlderLines(const BranchId& id) const;

 private:
  Repository* repo_;
  const BranchSet& branches_;
  std::vector<ManifestHead> snapshots_;
  std::map<BranchId, std::unique_ptr<LineHistory>> lines_;
};

struct ResolvedTarget {
  const LineHistory* line = nullptr;
  Lsn start, end;  // of the last record to replay
  int out_of_order = 0;
};

// `line_out` gets the line as soon as it is known, also when the rest fails.
Result<ResolvedTarget> ResolveTarget(PlanningView* view, const PlanRequest& request,
                                     const LineHistory** line_out);

}  // namespace pitr
