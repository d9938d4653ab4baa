// Decides whether an object that is in the way is what was to be written: byte for byte, since a checksum
// decides nothing about identity.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/codec/envelope.h"

namespace pitr {

struct ContentToCompare {
  const std::string& object;
  ObjectKind kind;
  const std::string& path;  // for messages
  const File& file;
  const EnvelopeFooter& footer;  // of the plain_size bytes of `file` from `offset` on
  const CancelToken* cancel;     // may be null
  std::uint64_t offset = 0;
};

// The footer of the stored object when it holds exactly those bytes; kAlreadyExists naming both, with their
// SHA-256 in the detail, when it does not; kNotReady when it was removed meanwhile; kCorrupt when it is damaged.
// Memory: some MiB.
Result<EnvelopeFooter> CheckSameContent(ObjectStore* store, const ContentToCompare& content);

}  // namespace pitr
