// Asked by long core loops every few megabytes or few thousand records, and by whatever waits for something outside.
#pragma once

#include <cstdint>

namespace pitr {

class CancelToken {
 public:
  virtual ~CancelToken() = default;
  virtual bool IsCancelled() const noexcept = 0;
};

// Never cancelled.
class NoCancel final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override { return false; }
};

// What ends waiting for others (requests, commands) anywhere in this process with kCancelled; null: nothing. Set once, before the
// first wait: the places that wait lie deep below callers that have no token to pass.
void SetProcessCancel(const CancelToken* token);
bool IsProcessCancelled() noexcept;

// While one lives, no wait of this process for others lasts, and no request is tried again, beyond its end: for whoever must answer
// soon. A second one inside can only shorten the time. Then requests and commands are kUnavailable. Not for processes that use threads.
class WaitLimit {
 public:
  explicit WaitLimit(std::int64_t milliseconds);
  ~WaitLimit();
  WaitLimit(const WaitLimit&) = delete;
  WaitLimit& operator=(const WaitLimit&) = delete;

 private:
  const std::int64_t before_;
};
// Of the monotonic clock in ms; a time far away when there is none.
std::int64_t WaitLimitEnd();

}  // namespace pitr
