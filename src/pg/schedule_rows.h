// Rows of pitr_schedules, for the view and for the functions that change schedules.
#pragma once

#include "core/repo/schedules.h"
#include "pg/session.h"

namespace pitr::pg {

// Those that `wanted` says yes to, of branches that are not deleted.
Status WriteScheduleRows(RowBuilder* rows, const Session& session, const ScheduleSet& set,
                         const std::function<bool(const Schedule&)>& wanted);
// Rows of pitr_snapshots for runs that there was nothing to do for.
Status WriteSkippedSnapshots(RowBuilder* rows, const Session& session);
// Session: the launcher reads the schedules anew.
void TellOfSchedules();

}  // namespace pitr::pg
