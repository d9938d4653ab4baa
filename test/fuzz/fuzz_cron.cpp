// Cron expressions: one that is accepted has a next moment, and that one's previous moment is itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/plan/cron.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const pitr::Result<pitr::ScheduleRule> rule = pitr::ParseCron(text);
  if (!rule.ok()) {
    return 0;
  }
  constexpr pitr::Timestamp kNow{1795168800000000};
  const pitr::Utc utc;
  const auto next = rule->Next(kNow, utc);
  if (!next || *next <= kNow || rule->Previous(*next, utc) != next) {
    std::abort();
  }
  return 0;
}
