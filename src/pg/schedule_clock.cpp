#include "pg/schedule_clock.h"

#include <cstdlib>

#include "core/base/file.h"
#include "pg/boundary.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "pgtime.h"
}

namespace pitr::pg {

Timestamp ScheduleNow() {
  Timestamp now = SystemClock().Now();
#ifdef PITR_FAULTS
  if (const char* path = std::getenv("PITR_SCHEDULE_CLOCK")) {
    const Result<std::string> shift = ReadTextFile(path, 64);
    if (shift.ok()) now.micros += std::atoll(shift->c_str()) * 1000000;
  }
#endif
  return now;
}

Result<ServerZone> ServerZone::Find(const std::string& name) {
  const char* const text = name.c_str();
  const bool is_name = !name.empty() && name.size() == std::char_traits<char>::length(text);
  const pg_tz* zone = nullptr;
  if (is_name) {
    zone = Call([text]() -> const pg_tz* {
      pg_tz* found = pg_tzset(text);
      return found != nullptr && pg_tz_acceptable(found) ? found : nullptr;
    });
  }
  if (zone == nullptr) {
    return Status(Code::kInvalidArgument, "time zone \"" + name + "\" not recognized")
        .WithHint("The view pg_timezone_names lists those that there are.");
  }
  return ServerZone(zone);
}

// pg_localtime works on tables in memory and raises nothing (src/timezone/localtime.c, 15 to 18).
std::int64_t ServerZone::OffsetAt(std::int64_t unix_seconds) const {
  const pg_time_t time = unix_seconds;
  const struct pg_tm* shown = pg_localtime(&time, zone_);
  return shown == nullptr ? 0 : shown->tm_gmtoff;
}

}  // namespace pitr::pg
