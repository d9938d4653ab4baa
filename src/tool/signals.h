// Cancel by signal, for the whole process: what a handler may do is set a flag, and this is the flag.
#pragma once

#include <sys/types.h>

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

// fork() in which a signal that the child gets before it has reset its handlers is not swallowed by them. The child comes back with
// everything blocked and calls ResetSignalsInChild; the parent as it was.
pid_t ForkWithSignalsBlocked() noexcept;
// What a child does between fork and exec: default dispositions, nothing blocked. Async-signal-safe.
void ResetSignalsInChild() noexcept;

}  // namespace pitr::tool
