// Cancel by signal, for the whole process: what a handler may do is set a flag, and this is the flag.
#pragma once

#include "core/base/cancel.h"

namespace pitr::tool {

class ProcessCancel final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override;
};

// From here on SIGINT, SIGTERM, SIGHUP and SIGQUIT ask for cancel, and SIGPIPE does nothing. Any thread can look.
void CatchCancelSignals();
void RequestCancel() noexcept;
const CancelToken& CancelOfProcess();

// What a child does between fork and exec: default dispositions, nothing blocked. Async-signal-safe.
void ResetSignalsInChild() noexcept;

}  // namespace pitr::tool
