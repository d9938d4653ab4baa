// Asked by long core loops every few megabytes or few thousand records, and by whatever waits for something outside.
#pragma once

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

}  // namespace pitr
