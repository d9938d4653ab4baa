// Threads of the `pitr` program for one piece of work: the same body on each, the first failure stops all.
// Never used inside the server, whose processes stay single-threaded (DESIGN.md 3).
#pragma once

#include <atomic>
#include <functional>

#include "core/base/cancel.h"
#include "core/base/status.h"

namespace pitr {

// Asked by a body once per frame.
class StopSignal {
 public:
  explicit StopSignal(const CancelToken* cancel) : cancel_(cancel) {}
  // kCancelled when the caller cancelled or another thread failed.
  Status Check() const;
  void Raise() noexcept { is_raised_.store(true, std::memory_order_relaxed); }

 private:
  const CancelToken* cancel_;
  std::atomic<bool> is_raised_ = false;
};

// Calls body(0 … workers-1), each on a thread of its own, the first on the calling one, and returns the first failure
// when all have ended. A machine that refuses more threads gets fewer: bodies must not count on each number being
// called, but share their items (an atomic counter). The threads take no signals. `cancel` may be null.
Status RunThreads(int workers, const CancelToken* cancel,
                  const std::function<Status(int worker, const StopSignal& stop)>& body);

}  // namespace pitr
