// The table of SQLSTATEs, and the one place where errno becomes a Status.
#include "core/base/status.h"

#include <cerrno>
#include <cstring>

namespace pitr {

// clang-format off: a table, one line per code
std::string_view SqlState(Code code) {
  switch (code) {
    case Code::kOk:
      return "00000";
    case Code::kInvalidArgument:
      return "22023";
    case Code::kInvalidTime:
      return "22007";
    case Code::kInvalidText:
      return "22P02";
    case Code::kNotFound:
      return "42704";
    case Code::kAlreadyExists:
      return "42710";
    case Code::kInvalidName:
      return "42602";
    case Code::kNameTooLong:
      return "42622";
    case Code::kPermission:
      return "42501";
    case Code::kNotReady:
      return "55000";
    case Code::kInUse:
      return "55006";
    case Code::kLockTimeout:
      return "55P03";
    case Code::kDiskFull:
      return "53100";
    case Code::kLimit:
      return "53400";
    case Code::kCancelled:
      return "57014";
    case Code::kIo:
      return "58030";
    case Code::kUnavailable:
      return "08006";
    case Code::kCorrupt:
      return "XX001";
    case Code::kOutsideWindow:
      return "PI001";
    case Code::kGap:
      return "PI002";
    case Code::kNoSnapshot:
      return "PI003";
    case Code::kForeign:
      return "PI004";
    case Code::kProtected:
      return "PI005";
    case Code::kAmbiguous:
      return "PI006";
    case Code::kKeyMissing:
      return "PI007";
    case Code::kOtherWriter:
      return "PI008";
    case Code::kNoParent:
      return "PI009";
    case Code::kActiveTransaction:
      return "25001";
    case Code::kDependents:
      return "2BP01";
    case Code::kUnsupported:
      return "0A000";
    case Code::kOutOfMemory:
      return "53200";
    case Code::kInternal:
      return "XX000";
  }
  return "XX000";
}
// clang-format on

namespace {

Code CodeOfErrno(int errnum) {
  switch (errnum) {
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
      return Code::kDiskFull;
    case ENOMEM:
      return Code::kOutOfMemory;
    default:
      return Code::kIo;
  }
}

}  // namespace

Status Status::FromErrno(int errnum, std::string_view what) {
  char buffer[128];
  // The GNU strerror_r: returns the text, which need not be in the buffer. Safe in threads.
  const char* text = ::strerror_r(errnum, buffer, sizeof buffer);
  std::string message = "could not ";
  message.append(what).append(": ").append(text);
  return Status(CodeOfErrno(errnum), std::move(message));
}

Status Status::Prefix(std::string_view prefix) && {
  if (!ok()) {
    message_.insert(0, ": ").insert(0, prefix);
  }
  return std::move(*this);
}

std::string Status::ToString() const {
  if (ok()) {
    return "ok";
  }
  std::string text = message_;
  if (!detail_.empty()) {
    text.append(" DETAIL: ").append(detail_);
  }
  if (!hint_.empty()) {
    text.append(" HINT: ").append(hint_);
  }
  return text;
}

}  // namespace pitr
