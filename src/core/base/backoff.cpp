#include "core/base/backoff.h"

#include <algorithm>

namespace pitr {

Backoff::Backoff(std::int64_t first_ms, std::int64_t cap_ms, std::uint64_t seed)
    : first_ms_(first_ms), cap_ms_(cap_ms), random_(seed | 1), delay_ms_(first_ms) {}

void Backoff::Failed(std::int64_t now_ms) {
  // xorshift64: never zero, and good enough to spread a few processes.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const auto share =
      static_cast<std::int64_t>(random_ % static_cast<std::uint64_t>(delay_ms_ / 4 + 1));
  due_ms_ = now_ms + delay_ms_ - share;
  // Halved before it is compared: doubling cannot overflow.
  delay_ms_ = delay_ms_ > cap_ms_ / 2 ? cap_ms_ : delay_ms_ * 2;
  failures_ = std::min(failures_, INT32_MAX - 1) + 1;
}

void Backoff::Reset() {
  delay_ms_ = first_ms_;
  due_ms_ = INT64_MIN;
  failures_ = 0;
}

}  // namespace pitr
