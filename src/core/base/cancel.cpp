#include "core/base/cancel.h"

#include <atomic>

namespace pitr {

namespace {

constinit std::atomic<const CancelToken*> g_cancel{nullptr};

}  // namespace

void SetProcessCancel(const CancelToken* token) {
  g_cancel.store(token, std::memory_order_release);
}

bool IsProcessCancelled() noexcept {
  const CancelToken* const token = g_cancel.load(std::memory_order_acquire);
  return token != nullptr && token->IsCancelled();
}

}  // namespace pitr
