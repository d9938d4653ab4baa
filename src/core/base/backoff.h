// How long to wait before something that failed is tried again: doubled each time up to a cap, with jitter, so that processes
// that failed together do not come back together.
#pragma once

#include <cstdint>

namespace pitr {

class Backoff {
 public:
  // `seed`: any number; the same one gives the same delays. REQUIRES: 0 < first_ms <= cap_ms.
  Backoff(std::int64_t first_ms, std::int64_t cap_ms, std::uint64_t seed);

  // The attempt at `now_ms` (monotonic) failed: the next is due after the present delay, less up to a quarter of it.
  void Failed(std::int64_t now_ms);
  // Due at once, and the next failure begins with the first delay again.
  void Reset();

  bool IsDue(std::int64_t now_ms) const { return now_ms >= due_ms_; }
  // 0 when due.
  std::int64_t WaitMs(std::int64_t now_ms) const { return IsDue(now_ms) ? 0 : due_ms_ - now_ms; }
  int failures() const { return failures_; }

 private:
  const std::int64_t first_ms_, cap_ms_;
  std::uint64_t random_;
  std::int64_t delay_ms_;  // of the next failure
  std::int64_t due_ms_ = INT64_MIN;
  int failures_ = 0;
};

}  // namespace pitr
