// Time as an interface, so that tests decide it. Times are microseconds since the Unix epoch, UTC
// (Timestamp below); PostgreSQL's own count starts in 2000 and is converted at the edges only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace pitr {

struct Timestamp {
  std::int64_t micros = 0;  // since 1970-01-01 00:00:00 UTC
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// src/include/datatype/timestamp.h (15): POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE = 10957 days.
inline constexpr std::int64_t kPostgresEpochMicros = 10957LL * 86400 * 1000000;
inline Timestamp FromPostgresTime(std::int64_t pg) { return {pg + kPostgresEpochMicros}; }
inline std::int64_t ToPostgresTime(Timestamp t) { return t.micros - kPostgresEpochMicros; }

// RFC 3339 in UTC with Z. `fraction` digits 0..6; the rest is cut, not rounded.
std::string FormatTime(Timestamp t, int fraction = 6);
// Strict: YYYY-MM-DDThh:mm:ss[.f{1,6}](Z|+hh:mm|-hh:mm), upper case T and Z, a real date
// (features.md 4.1 item 5, ours). Anything else is kInvalidTime naming the text.
Result<Timestamp> ParseRfc3339(std::string_view text);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp Now() const noexcept = 0;
  virtual std::int64_t MonotonicMillis() const noexcept = 0;
};

const Clock& SystemClock();

}  // namespace pitr
