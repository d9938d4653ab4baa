#include "core/types/lsn_ranges.h"

#include <algorithm>

namespace pitr {

LsnRanges SortedRanges(LsnRanges ranges) {
  std::erase_if(ranges, [](const LsnRange& range) { return range.end <= range.begin; });
  std::sort(ranges.begin(), ranges.end(),
            [](const LsnRange& a, const LsnRange& b) { return a.begin < b.begin; });
  LsnRanges sorted;
  for (const LsnRange& range : ranges) {
    if (!sorted.empty() && range.begin <= sorted.back().end) {
      sorted.back().end = std::max(sorted.back().end, range.end);
    } else {
      sorted.push_back(range);
    }
  }
  return sorted;
}

LsnRanges United(const LsnRanges& a, const LsnRanges& b) {
  LsnRanges all = a;
  all.insert(all.end(), b.begin(), b.end());
  return SortedRanges(std::move(all));
}

LsnRanges Common(const LsnRanges& a, const LsnRanges& b) {
  LsnRanges common;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const Lsn begin = std::max(a[i].begin, b[j].begin);
    const Lsn end = std::min(a[i].end, b[j].end);
    if (begin < end) {
      common.push_back({begin, end});
    }
    (a[i].end < b[j].end ? i : j)++;
  }
  return common;
}

LsnRanges AllBut(const LsnRanges& ranges) {
  LsnRanges others;
  Lsn from;
  for (const LsnRange& range : ranges) {
    if (from < range.begin) {
      others.push_back({from, range.begin});
    }
    from = range.end;
  }
  if (from < kEndOfWal) {
    others.push_back({from, kEndOfWal});
  }
  return others;
}

bool Covers(const LsnRanges& ranges, const LsnRange& range) {
  const auto behind =
      std::upper_bound(ranges.begin(), ranges.end(), range.begin,
                       [](Lsn lsn, const LsnRange& each) { return lsn < each.begin; });
  return behind != ranges.begin() && range.end <= (behind - 1)->end;
}

bool AreSame(const LsnRanges& a, const LsnRanges& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const LsnRange& one, const LsnRange& other) {
                      return one.begin == other.begin && one.end == other.end;
                    });
}

}  // namespace pitr
