// Repository keys: what an administrator keeps, and the only thing of encryption that does not lie in the repository. The text of a key
// file, and what a key command prints:
//
//   # comments and blank lines are passed over
//   0123…cdef      64 hexadecimal digits: the current key
//   4567…89ab      more such lines: keys of before, that still open what they closed
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/codec/cipher.h"

namespace pitr {

// Where the keys come from: one of the two, or nothing for a repository that is not encrypted.
struct KeySource {
  std::string file;     // absolute
  std::string command;  // for /bin/sh
  bool empty() const { return file.empty() && command.empty(); }
  friend bool operator==(const KeySource&, const KeySource&) = default;
};

class KeyRing {
 public:
  KeyRing() = default;  // no key
  explicit KeyRing(std::vector<SecretKey> keys) : keys_(std::move(keys)) {}

  bool empty() const { return keys_.empty(); }
  const SecretKey& current() const { return keys_.front(); }  // REQUIRES: not empty
  // nullptr when it is none of these.
  const SecretKey* Find(std::string_view key_id) const;
  // "aaaa, bbbb"
  std::string Ids() const;

 private:
  std::vector<SecretKey> keys_;
};

// `what` names the source in errors, which never show a part of the text. kKeyMissing.
Result<KeyRing> ParseKeys(std::string_view text, const std::string& what);

// An empty source gives no key. kInvalidArgument when it names both a file and a command; kKeyMissing with a hint when there is no key
// to be had: the file must be a regular one of our own that nobody else may read, the command gets 30 seconds and 64 KiB.
// kUnavailable when the command took too long (waiting may help), kCancelled.
Result<KeyRing> LoadKeys(const KeySource& source);

}  // namespace pitr
