// A rate that several threads keep together.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace pitr {

class Pace {
 public:
  // 0: no limit. Any thread, at any time: whoever waits goes on at the new rate at once.
  void SetRate(std::uint64_t bytes_a_second) noexcept { rate_ = bytes_a_second; }
  // So much was just done: returns when it should have taken that long, or `stopped` says so. Naps are short, for that and a changed rate.
  void Spend(std::uint64_t bytes, const std::function<bool()>& stopped);

 private:
  std::atomic<std::uint64_t> rate_ = 0;
  std::mutex mutex_;
  double debt_ = 0;              // bytes ahead of the rate
  std::int64_t paid_at_ms_ = 0;  // up to when the time that passed was counted
};

}  // namespace pitr
