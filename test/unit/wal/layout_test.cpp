#include "core/wal/layout.h"

#include <gtest/gtest.h>

namespace pitr::wal {
namespace {

constexpr std::uint64_t kSegment = 16U << 20;

TEST(LayoutTest, AnInsertPositionBehindTheHeaderOfAnEmptyPageIsTheEndOfThePageBefore) {
  const std::uint64_t page = 3 * kSegment + 5 * kPageSize;
  EXPECT_EQ(page::EndBefore(page + page::kShortHeader, kSegment), page);
  EXPECT_EQ(page::EndBefore(3 * kSegment + page::kLongHeader, kSegment), 3 * kSegment);
}

TEST(LayoutTest, EveryOtherInsertPositionIsWhereARecordEnds) {
  const std::uint64_t page = 3 * kSegment + 5 * kPageSize;
  // Behind the rest of a record that runs over from the page before, and where a long header would end on a page that has none.
  for (const std::uint64_t at :
       {page, page + page::kShortHeader + 8, page + page::kLongHeader, page - 8}) {
    EXPECT_EQ(page::EndBefore(at, kSegment), at);
  }
}

}  // namespace
}  // namespace pitr::wal
