#include "core/types/lsn_ranges.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

LsnRanges Ranges(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& pairs) {
  LsnRanges ranges;
  for (const auto& [begin, end] : pairs) {
    ranges.push_back({{begin}, {end}});
  }
  return ranges;
}

constexpr std::uint64_t kEnd = kEndOfWal.value;

TEST(LsnRanges, AreSortedAndJoined) {
  const LsnRanges sorted = SortedRanges(Ranges({{20, 30}, {5, 5}, {1, 4}, {4, 6}, {25, 27}}));
  EXPECT_TRUE(AreSame(sorted, Ranges({{1, 6}, {20, 30}})));
  EXPECT_TRUE(AreSame(United(sorted, Ranges({{6, 20}})), Ranges({{1, 30}})));
}

TEST(LsnRanges, WhatBothHave) {
  const LsnRanges a = Ranges({{1, 10}, {20, 30}}), b = Ranges({{5, 25}, {29, kEnd}});
  EXPECT_TRUE(AreSame(Common(a, b), Ranges({{5, 10}, {20, 25}, {29, 30}})));
  EXPECT_TRUE(AreSame(Common(b, a), Common(a, b)));
  EXPECT_TRUE(Common(a, {}).empty());
}

TEST(LsnRanges, AllBut) {
  EXPECT_TRUE(AreSame(AllBut({}), Ranges({{0, kEnd}})));
  EXPECT_TRUE(AreSame(AllBut(Ranges({{0, 5}, {7, kEnd}})), Ranges({{5, 7}})));
  const LsnRanges some = Ranges({{3, 5}, {7, 9}});
  EXPECT_TRUE(AreSame(AllBut(AllBut(some)), some));
}

TEST(LsnRanges, Cover) {
  const LsnRanges some = Ranges({{3, 5}, {7, 9}});
  EXPECT_TRUE(Covers(some, {{3}, {5}}));
  EXPECT_TRUE(Covers(some, {{8}, {9}}));
  EXPECT_FALSE(Covers(some, {{4}, {8}}));
  EXPECT_FALSE(Covers(some, {{2}, {4}}));
  EXPECT_FALSE(Covers(some, {{9}, {10}}));
  EXPECT_FALSE(Covers({}, {{1}, {2}}));
}

}  // namespace
}  // namespace pitr
