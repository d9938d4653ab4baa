// Files with keys in them: who may read one is looked at before it is read, by its open descriptor, so that what is read is what
// was looked at.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/file.h"
#include "core/base/result.h"

namespace pitr {

// What must have changed for the file to be read again. The time of change is among it, so that a file put in place with an old
// time of modification is seen.
struct SecretFileState {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_sec = 0, modified_nsec = 0, changed_sec = 0, changed_nsec = 0;
  friend bool operator==(const SecretFileState&, const SecretFileState&) = default;
};

struct SecretFile {
  File file;
  SecretFileState state;
};

// A regular file of our own without any right for group and others. Everything else is kInvalidArgument with a hint: never kNotFound
// or kIo, which would speak of an object or the store to a caller who asked for one. `what` begins messages ("credentials file"),
// `named_by` is the hint when the file cannot be opened.
Result<SecretFile> OpenSecretFile(const std::string& path, std::string_view what,
                                  std::string_view named_by);
// The number of bytes read into `out`; kInvalidArgument when it cannot be read or does not fit. The caller wipes.
Result<std::size_t> ReadSecretFile(const SecretFile& file, const std::string& path,
                                   std::string_view what, std::span<std::uint8_t> out);

}  // namespace pitr
