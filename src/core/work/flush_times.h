// When WAL was flushed: what the age of a byte that is not durable elsewhere is known from.
#pragma once

#include <cstdint>
#include <deque>

#include "core/base/clock.h"
#include "core/types/lsn.h"

namespace pitr {

class FlushTimes {
 public:
  // The flush position was looked at. Positions and times only rise.
  void Note(Lsn flushed, Timestamp now);
  // The latest moment of which all that was flushed by then lies before `durable`, as far as looks were taken; the first look
  // when that was behind it already. What is asked never falls. REQUIRES: Note was called.
  Timestamp FlushedBy(Lsn durable);

 private:
  struct Look {
    Lsn flushed;
    Timestamp at;
  };
  std::deque<Look> looks_;  // positions rise strictly
  std::int64_t spacing_ =
      0;  // microseconds: looks that are closer to the one before are not kept apart
};

}  // namespace pitr
