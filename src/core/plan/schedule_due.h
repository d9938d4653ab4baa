// What of a schedule is due now, whatever the clock and the server did meanwhile. Pure.
//
// `served` is the due time that was served last, or when the schedule was set. What was missed is made up once, as the newest of the times that were
// missed. A clock that is put back repeats nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "core/plan/schedule.h"

namespace pitr {

struct DueTime {
  Timestamp due;
  bool is_made_up = false;  // nobody looked at the clock then
};

// `watched_since`: from then on somebody looks at the clock all the time.
std::optional<DueTime> DueAt(const ScheduleRule& rule, const TimeZone& zone, Timestamp served,
                             Timestamp now, Timestamp watched_since);

// `served`, or `now` when it lies more than a day ahead: it is of a clock that was wrong, and waiting for it could take years.
Timestamp ServedByClock(Timestamp served, Timestamp now);

// How long to wait before what has failed so many times is tried again: a minute, doubled, an hour at most.
std::int64_t RetryPauseMicros(std::int64_t failures);

}  // namespace pitr
