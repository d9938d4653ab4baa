// WAL that was let go unarchived, on purpose (pitr.on_archive_failure = 'drop'): the document "gaps" of the catalogue. Format:
// doc/repository-format.md.
#pragma once

#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"
#include "core/types/timeline.h"

namespace pitr {

struct Gap {
  TimelineId timeline = 0;
  Lsn begin, end;   // whole segments
  Timestamp since;  // when the first of them was let go
  std::string cause;
};

Json GapJson(const Gap& gap);
Result<Gap> GapFromJson(const Json& json);  // kCorrupt

// One that touches or overlaps another of its timeline becomes one with it, with the earlier time and that one's cause. By LSN afterwards.
void MergeGap(Gap gap, std::vector<Gap>* gaps);

// Of a branch, by timeline and LSN.
Result<std::vector<Gap>> ReadGaps(Repository* repo, const BranchId& branch);
// DURABLE, IDEMPOTENT.
Status AddGaps(Repository* repo, const BranchId& branch, const std::vector<Gap>& gaps);

}  // namespace pitr
