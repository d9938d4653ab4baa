// The one way in which core code reports failure: a small closed set of codes with the texts that a
// user will read. Core code never throws; only the C++ library can (memory).
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace pitr {

// Each code has one SQLSTATE (pg/error_map.cpp) and one exit-code class in the program.
enum class Code {
  kOk,
  kInvalidArgument,    // 22023
  kInvalidTime,        // 22007
  kInvalidText,        // 22P02 malformed LSN, point, number
  kNotFound,           // 42704 and, inside the store, "proven absent"
  kAlreadyExists,      // 42710; in the store: the name is taken (by anything)
  kInvalidName,        // 42602
  kNameTooLong,        // 42622
  kPermission,         // 42501
  kNotReady,           // 55000 object not in prerequisite state
  kInUse,              // 55006
  kLockTimeout,        // 55P03
  kDiskFull,           // 53100
  kLimit,              // 53400 configuration limit exceeded
  kCancelled,          // 57014
  kIo,                 // 58030
  kUnavailable,        // 08006 store unreachable
  kCorrupt,            // XX001
  kOutsideWindow,      // PI001
  kGap,                // PI002
  kNoSnapshot,         // PI003
  kForeign,            // PI004
  kProtected,          // PI005
  kAmbiguous,          // PI006
  kKeyMissing,         // PI007
  kOtherWriter,        // PI008
  kNoParent,           // PI009
  kActiveTransaction,  // 25001
  kDependents,         // 2BP01
  kUnsupported,        // 0A000
  kOutOfMemory,        // 53200
  kInternal,           // XX000
};

// Five-character SQLSTATE of a code; "00000" for kOk.
std::string_view SqlState(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }
  // `errnum` is kept in the text; ENOSPC/EDQUOT become kDiskFull, ENOENT kNotFound, EEXIST
  // kAlreadyExists, EACCES/EPERM/EROFS kIo with the system's words. The only errno -> Status place.
  // `what` reads like `open "x"`: the message is `could not <what>: <strerror>`.
  static Status FromErrno(int errnum, std::string_view what);

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& detail() const { return detail_; }
  const std::string& hint() const { return hint_; }

  Status& WithDetail(std::string text) & {
    detail_ = std::move(text);
    return *this;
  }
  // By value, here and below: `status = std::move(status).Prefix("x")` must not move onto itself.
  Status WithDetail(std::string text) && {
    detail_ = std::move(text);
    return std::move(*this);
  }
  Status& WithHint(std::string text) & {
    hint_ = std::move(text);
    return *this;
  }
  Status WithHint(std::string text) && {
    hint_ = std::move(text);
    return std::move(*this);
  }
  // Puts `prefix: ` before the message, for context added once per layer. No effect on OK.
  Status Prefix(std::string_view prefix) &&;

  // message, then detail and hint on the same line, for logs and the program.
  std::string ToString() const;

 private:
  Code code_ = Code::kOk;
  std::string message_, detail_, hint_;
};

}  // namespace pitr
