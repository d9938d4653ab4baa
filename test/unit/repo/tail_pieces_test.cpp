#include "core/repo/tail_pieces.h"

#include <gtest/gtest.h>

#include "unit/support/memory_store.h"

namespace pitr {

namespace {

constexpr std::uint64_t kSegmentSize = 1U << 20;

std::string Joined(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pieces) {
  std::vector<NamedPiece> named;
  for (const auto& [begin, end] : pieces) {
    named.push_back({{{1, 5}, begin, end}, "", 0});
  }
  std::string text;
  for (const NamedPiece& piece : JoinPieces(named)) {
    text += std::to_string(piece.piece.begin) + "-" + std::to_string(piece.piece.end) + " ";
  }
  return text;
}

TEST(JoinPiecesTest, TakesTheFarthestAtEachPlaceAndEndsAtAHole) {
  EXPECT_EQ(Joined({}), "");
  EXPECT_EQ(Joined({{5, 10}}), "");
  EXPECT_EQ(Joined({{10, 20}, {0, 10}}), "0-10 10-20 ");
  EXPECT_EQ(Joined({{0, 10}, {0, 30}, {20, 40}}), "0-30 20-40 ");
  EXPECT_EQ(Joined({{0, 10}, {5, 30}, {2, 40}, {35, 38}}), "0-10 2-40 ");
  EXPECT_EQ(Joined({{0, 10}, {11, 30}}), "0-10 ");
}

TEST(ListPiecesTest, ListsThoseOfTheSegmentAlone) {
  auto objects = std::make_shared<MemoryObjects>();
  MemoryStore store(objects);
  const BranchId branch = "br-test-wal-1";
  std::vector<std::string> names;
  for (const std::uint64_t number : {4U, 5U, 6U}) {
    for (std::uint32_t end = 1; end <= 150; end++) {
      names.push_back(layout::TailObject(branch, {{1, number}, end - 1, end}, kSegmentSize));
      ASSERT_TRUE(store.Put(names.back(), Bytes(1)).ok());
    }
  }
  ASSERT_TRUE(
      store.Put(layout::TailPrefix(branch, 1) + SegmentName({1, 5}, kSegmentSize) + ".x", Bytes(1))
          .ok());
  const Result<std::vector<NamedPiece>> found = ListPieces(&store, branch, {1, 5}, kSegmentSize);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 150U);
  EXPECT_EQ(found->front().object, names[150]);
  EXPECT_EQ(found->back().object, names[299]);
  EXPECT_EQ(found->back().stored_bytes, 1U);
}

}  // namespace

}  // namespace pitr
