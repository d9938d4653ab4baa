// Strong types for positions in WAL. Ranges are half-open.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace pitr {

struct Lsn {
  std::uint64_t value = 0;  // 0 is "invalid", as in the server
  bool valid() const { return value != 0; }
  friend auto operator<=>(const Lsn&, const Lsn&) = default;
  // "X/Y", upper-case hex without leading zeros, as the server prints it.
  std::string ToString() const;
  // 1-8 hex digits on each side of one slash; kInvalidText naming the text otherwise.
  static Result<Lsn> Parse(std::string_view text);
  // True when the text has the shape of an LSN (features.md 4.1 item 4).
  static bool LooksLikeLsn(std::string_view text);
};

inline Lsn operator+(Lsn lsn, std::uint64_t bytes) { return {lsn.value + bytes}; }
inline std::uint64_t operator-(Lsn a, Lsn b) { return a.value - b.value; }

struct LsnRange {
  Lsn begin, end;
  bool Contains(Lsn lsn) const { return begin <= lsn && lsn < end; }
};

using TimelineId = std::uint32_t;
using Xid = std::uint32_t;

}  // namespace pitr
