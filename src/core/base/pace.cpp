#include "core/base/pace.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/base/clock.h"

namespace pitr {

namespace {

constexpr std::int64_t kNapMs = 100;

}  // namespace

void Pace::Spend(std::uint64_t bytes, const std::function<bool()>& stopped) {
  bool is_counted = false;
  for (;;) {
    std::int64_t nap = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto rate = static_cast<double>(rate_.load());
      const std::int64_t now = SystemClock().MonotonicMillis();
      const double passed = static_cast<double>(now - paid_at_ms_) / 1000;
      paid_at_ms_ = now;
      // What was not used is not saved up.
      debt_ = std::max(0.0, debt_ - rate * passed);
      debt_ += is_counted ? 0 : static_cast<double>(bytes);
      is_counted = true;
      if (rate == 0) {
        debt_ = 0;
        return;
      }
      nap = static_cast<std::int64_t>(debt_ / rate * 1000);
    }
    if (nap <= 0 || stopped()) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(nap, kNapMs)));
  }
}

}  // namespace pitr
