// The server's wish that this process stop, as the core asks for it: flags are read, never processed, because a jump from
// here would leave through core frames. The shell processes them afterwards (Raise, CheckInterrupts).
#pragma once

#include "core/base/cancel.h"

namespace pitr::pg {

class ServerCancelToken final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override;
};

// Never destroyed; the same for the whole process.
const CancelToken& ServerCancel();

}  // namespace pitr::pg
