// Sets of places in WAL, as ranges that are sorted, not empty and apart from each other.
#pragma once

#include <limits>
#include <vector>

#include "core/types/lsn.h"

namespace pitr {

using LsnRanges = std::vector<LsnRange>;

// The end of a range that has none.
inline constexpr Lsn kEndOfWal = {std::numeric_limits<std::uint64_t>::max()};

// From ranges in any order, that may overlap or be empty.
LsnRanges SortedRanges(LsnRanges ranges);
LsnRanges United(const LsnRanges& a, const LsnRanges& b);
// What both have.
LsnRanges Common(const LsnRanges& a, const LsnRanges& b);
// All but those, from 0 to kEndOfWal.
LsnRanges AllBut(const LsnRanges& ranges);
// REQUIRES: `range` is not empty.
bool Covers(const LsnRanges& ranges, const LsnRange& range);
bool AreSame(const LsnRanges& a, const LsnRanges& b);

}  // namespace pitr
