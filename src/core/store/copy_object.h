// Moving objects between two stores that hold the same ones: byte for byte, below every format, so that what is encrypted stays as it is.
#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/store/store.h"

namespace pitr {

// Whether both hold the same bytes under this name. kNotFound when one has none. Memory: some MiB.
Result<bool> IsSameObject(ObjectStore* a, ObjectStore* b, const std::string& name,
                          const CancelToken* cancel = nullptr);

// Brings the object from `from` into `to`. OK as well when it is there with the same bytes; kForeign naming both when it is there with
// others; kNotFound when `from` has none. DURABLE. IDEMPOTENT. `copied` (may be null) gets the bytes that were written.
Status CopyObject(ObjectStore* from, ObjectStore* to, const std::string& name,
                  const CancelToken* cancel = nullptr, std::uint64_t* copied = nullptr);

}  // namespace pitr
