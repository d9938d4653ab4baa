#include "core/plan/thinning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace pitr {
namespace {

using Ids = std::vector<SnapshotId>;

ThinningItem Item(std::uint64_t start, bool may_go = true, std::optional<std::size_t> stretch = 0) {
  return {"sn-" + std::to_string(start), {start}, stretch, may_go};
}

// One each `step`, thinned after each: what is left, oldest first.
std::vector<std::uint64_t> AfterMany(std::size_t count, std::uint64_t step) {
  std::vector<ThinningItem> items;
  for (std::size_t i = 1; i <= count; i++) {
    items.push_back(Item(i * step));
    const Ids gone = ThinSnapshots(items);
    std::erase_if(items, [&](const ThinningItem& item) {
      return std::find(gone.begin(), gone.end(), item.id) != gone.end();
    });
  }
  std::vector<std::uint64_t> starts;
  for (const ThinningItem& item : items) {
    starts.push_back(item.start.value);
  }
  return starts;
}

TEST(Thinning, AFewNewOnesStay) {
  EXPECT_TRUE(ThinSnapshots({}).empty());
  EXPECT_EQ(AfterMany(4, 256).size(), 4U);
}

TEST(Thinning, ManyBecomeFewAndAPointIsNeverFarFromOne) {
  const std::vector<std::uint64_t> left = AfterMany(1000, 256);
  EXPECT_LT(left.size(), 30U);
  EXPECT_EQ(left.front(), 256U) << "the oldest point is reached from it";
  EXPECT_EQ(left.back(), 256000U);
  for (std::size_t i = 1; i < left.size(); i++) {
    // From the point right before snapshot i, at a distance of 256000 - left[i].
    EXPECT_LE(left[i] - left[i - 1], 256 + (256000 - left[i]) / 2) << left[i];
  }
}

TEST(Thinning, WhatOthersTookOrKeepStays) {
  std::vector<ThinningItem> items;
  for (std::uint64_t i = 1; i <= 100; i++) {
    items.push_back(Item(i * 256, i % 10 != 0));
  }
  for (const SnapshotId& id : ThinSnapshots(items)) {
    EXPECT_NE(std::stoul(id.substr(3)) / 256 % 10, 0U) << id;
  }
}

TEST(Thinning, TheOldestOfAStretchStays) {
  std::vector<ThinningItem> items;
  for (std::uint64_t i = 1; i <= 20; i++) {
    items.push_back(Item(i * 256, true, i < 10 ? 0 : 1));
  }
  items[4].stretch.reset();  // its WAL is not all there
  const Ids gone = ThinSnapshots(items);
  const auto is_gone = [&](std::uint64_t i) {
    return std::find(gone.begin(), gone.end(), Item(i * 256).id) != gone.end();
  };
  EXPECT_FALSE(is_gone(1));
  EXPECT_FALSE(is_gone(10));
  EXPECT_FALSE(is_gone(5));
  EXPECT_TRUE(is_gone(12));
}

}  // namespace
}  // namespace pitr
