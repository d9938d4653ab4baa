// The document "schedules": one that is accepted is written again as one that says the same; items that it holds are read or refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/plan/schedule_item.h"
#include "core/repo/schedules.h"

namespace {

void Check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const pitr::Result<pitr::Json> json =
      pitr::ParseJson(pitr::AsText({data, size}), "fuzz", 1U << 20);
  if (!json.ok()) {
    return 0;
  }
  const pitr::Result<pitr::ScheduleSet> set = pitr::DecodeSchedules(*json);
  if (!set.ok()) {
    return 0;
  }
  pitr::Json written = *json;
  pitr::PutSchedules(*set, &written);
  const pitr::Result<pitr::ScheduleSet> again = pitr::DecodeSchedules(written);
  Check(again.ok() && again->schedules.size() == set->schedules.size());
  pitr::Json twice = written;
  pitr::PutSchedules(*again, &twice);
  Check(twice == written);
  for (const pitr::Schedule& schedule : set->schedules) {
    const auto item = pitr::ParseScheduleItem(schedule.item);
    if (item.ok()) {
      const auto same = pitr::ParseScheduleItem(item->canonical);
      Check(same.ok() && same->canonical == item->canonical);
    }
  }
  return 0;
}
