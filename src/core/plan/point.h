// The written forms of a point: `source[@point]` and bare targets (sql-surface.md 2, features.md 4.1). Pure text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/types/lsn.h"

namespace pitr {

struct Point {
  enum class Kind { kHead, kTime, kLsn, kRestorePoint, kXid, kSnapshot };
  Kind kind = Kind::kHead;
  Timestamp time;                // kTime
  Lsn lsn;                       // kLsn
  Xid xid = 0;                   // kXid
  std::string name;              // kRestorePoint, kSnapshot (name or id)
  std::string ToString() const;  // as it would be written behind '@'; empty for the head
};

struct SourcePoint {
  std::string source;  // "^self", "^parent", branch name or id
  Point point;
};

// Splits at the last '@'; a text for which `is_branch` says yes is that branch, '@' or not. Errors and texts are
// features.md 4.1: kInvalidText "Invalid source branch format - <input>"; a time after `now` is kInvalidArgument
// "Timestamp can not be in future - <input>".
Result<SourcePoint> ParseSourcePoint(std::string_view text,
                                     const std::function<bool(std::string_view)>& is_branch,
                                     Timestamp now);

// A bare target of the connected branch. Text with '@' is not for this function (ParseSourcePoint). LSN, name:, xid:, snapshot:
// are read here; anything else gives nullopt: the caller lets the server's own timestamptz input read it.
Result<std::optional<Point>> ParseBareTarget(std::string_view text);

}  // namespace pitr
