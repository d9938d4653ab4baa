#include "core/base/cancel.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "core/base/clock.h"

namespace pitr {

namespace {

constinit std::atomic<const CancelToken*> g_cancel{nullptr};
constinit std::atomic<std::int64_t> g_wait_limit_end{std::numeric_limits<std::int64_t>::max()};

}  // namespace

void SetProcessCancel(const CancelToken* token) {
  g_cancel.store(token, std::memory_order_release);
}

bool IsProcessCancelled() noexcept {
  const CancelToken* const token = g_cancel.load(std::memory_order_acquire);
  return token != nullptr && token->IsCancelled();
}

WaitLimit::WaitLimit(std::int64_t milliseconds) : before_(WaitLimitEnd()) {
  g_wait_limit_end = std::min(before_, SystemClock().MonotonicMillis() + milliseconds);
}

WaitLimit::~WaitLimit() { g_wait_limit_end = before_; }

std::int64_t WaitLimitEnd() { return g_wait_limit_end; }

}  // namespace pitr
