// The two clocks of schedules: what time it is, and what clocks show in a time zone of the server.
#pragma once

#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/plan/schedule.h"

struct pg_tz;

namespace pitr::pg {

// The system's time. In a test build the file that PITR_SCHEDULE_CLOCK names says how many seconds later it is than that.
Timestamp ScheduleNow();

// A time zone as the server knows it: a name of pg_timezone_names, or a rule as POSIX has it. Cheap to copy.
class ServerZone final : public TimeZone {
 public:
  // kInvalidArgument. THROWS ErrorInFlight.
  static Result<ServerZone> Find(const std::string& name);
  std::int64_t OffsetAt(std::int64_t unix_seconds) const override;

 private:
  explicit ServerZone(const pg_tz* zone) : zone_(zone) {}
  const pg_tz* zone_;  // the server keeps it for the life of the process
};

}  // namespace pitr::pg
