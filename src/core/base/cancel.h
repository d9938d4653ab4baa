// Asked by long core loops every few megabytes or few thousand records.
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

}  // namespace pitr
