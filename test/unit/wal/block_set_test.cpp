#include "core/wal/block_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace pitr::wal {
namespace {

TEST(BlockSetTest, IsEmptyAtFirstAndAfterTake) {
  BlockSet set;
  EXPECT_TRUE(set.Take().empty());
  set.Add({1, 2, 3, 0}, 4);
  EXPECT_EQ(set.Take().size(), 1U);
  EXPECT_TRUE(set.Take().empty());
}

TEST(BlockSetTest, HoldsWhatAnOrdinarySetHolds) {
  std::mt19937 random(7);
  BlockSet set;
  std::map<RelFork, std::set<std::uint32_t>> expected;
  // More relations than the table has room for at first, more blocks than the filter of repetitions.
  for (int i = 0; i < 60000; i++) {
    RelFork relation;
    relation.database = static_cast<std::uint32_t>(random() % 3);
    relation.relation = static_cast<std::uint32_t>(random() % 500);
    relation.fork = static_cast<std::uint8_t>(random() % 4);
    const auto block = static_cast<std::uint32_t>(random() % 2 == 0 ? random() : random() % 50);
    set.Add(relation, block);
    expected[relation].insert(block);
  }
  const auto blocks = set.Take();
  ASSERT_EQ(blocks.size(), expected.size());
  for (const auto& [relation, list] : blocks) {
    const std::set<std::uint32_t>& wanted = expected.at(relation);
    EXPECT_EQ(list, std::vector<std::uint32_t>(wanted.begin(), wanted.end()));
  }
}

TEST(BlockSetTest, RelationsThatDifferInOneFieldAreDifferent) {
  BlockSet set;
  for (const RelFork& relation : {RelFork{1, 1, 1, 0}, RelFork{2, 1, 1, 0}, RelFork{1, 2, 1, 0},
                                  RelFork{1, 1, 2, 0}, RelFork{1, 1, 1, 1}}) {
    set.Add(relation, 0xFFFFFFFF);
  }
  EXPECT_EQ(set.Take().size(), 5U);
}

}  // namespace
}  // namespace pitr::wal
