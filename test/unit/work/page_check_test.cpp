#include "core/work/page_check.h"

#include <gtest/gtest.h>

#include "unit/support/fake_cluster.h"

namespace pitr {
namespace {

Bytes Pattern(std::uint32_t number) {
  Bytes page(kPageSize);
  for (std::uint32_t i = 0; i < page.size(); i++) {
    page[i] = static_cast<std::uint8_t>((i * 2654435761U + number * 40503U) >> 24);
  }
  page[14] = 1;  // pd_upper is not 0
  return page;
}

TEST(PageCheckTest, ChecksumsAreTheServers) {
  // Computed with src/include/storage/checksum_impl.h of 15.
  const struct {
    std::uint32_t pattern, block;
    std::uint16_t checksum;
  } known[] = {{0, 0, 0x3290},
               {1, 1, 0x3B6E},
               {2, 131071, 0x5B23},
               {3, 131072, 0x5347},
               {4, 4000000000, 0x0E9B}};
  for (const auto& page : known) {
    EXPECT_EQ(PageChecksum(Pattern(page.pattern).data(), page.block), page.checksum);
    EXPECT_EQ(PageChecksumPortable(Pattern(page.pattern).data(), page.block), page.checksum);
  }
}

TEST(PageCheckTest, BothImplementationsAgree) {
  for (std::uint32_t i = 0; i < 200; i++) {
    const Bytes page = FakePage(i, i);
    EXPECT_EQ(PageChecksum(page.data(), i), PageChecksumPortable(page.data(), i));
  }
}

TEST(PageCheckTest, TheChecksumFieldItselfDoesNotCount) {
  Bytes page = FakePage(1, 7);
  const std::uint16_t before = PageChecksum(page.data(), 7);
  page[8] = 0xAB;
  page[9] = 0xCD;
  EXPECT_EQ(PageChecksum(page.data(), 7), before);
}

TEST(PageCheckTest, ADamagedOrMovedPageIsFound) {
  Bytes page = FakePage(1, 7);
  EXPECT_TRUE(IsPageFine(page.data(), 7, {}));
  EXPECT_FALSE(IsPageFine(page.data(), 8, {}));
  for (const std::size_t at : {10UL, 30UL, 4096UL, 8191UL}) {
    page[at] ^= 1;
    EXPECT_FALSE(IsPageFine(page.data(), 7, {})) << at;
    page[at] ^= 1;
  }
}

TEST(PageCheckTest, ZeroPagesAreFineButOtherPagesWithoutHeaderAreNot) {
  Bytes page(kPageSize);
  EXPECT_TRUE(IsPageFine(page.data(), 0, {}));
  page[8191] = 1;
  EXPECT_FALSE(IsPageFine(page.data(), 0, {}));
}

TEST(PageCheckTest, PagesChangedSinceTheStartAreNotJudged) {
  Bytes page = FakePage(1, 0, 0x500000010);
  page[100] ^= 1;
  EXPECT_EQ(PageLsn(page.data()).value, 0x500000010U);
  EXPECT_TRUE(IsPageFine(page.data(), 0, {0x500000010}));
  EXPECT_FALSE(IsPageFine(page.data(), 0, {0x500000011}));
  EXPECT_FALSE(IsPageFine(page.data(), 0, {}));
}

TEST(PageCheckTest, ZeroesAreFoundWhereverTheOtherByteIs) {
  Bytes bytes(kPageSize);
  EXPECT_TRUE(IsZeroPage(bytes.data(), bytes.size()));
  EXPECT_TRUE(IsZeroPage(bytes.data(), 1));
  EXPECT_TRUE(IsZeroPage(bytes.data(), 0));
  for (std::size_t i = 0; i < bytes.size(); i++) {
    bytes[i] = 1;
    EXPECT_FALSE(IsZeroPage(bytes.data(), bytes.size())) << i;
    bytes[i] = 0;
  }
}

}  // namespace
}  // namespace pitr
