#include "core/work/pack_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/repo/layout.h"
#include "core/work/frame_builder.h"
#include "unit/support/fake_cluster.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

class PackWriterTest : public ::testing::Test {
 protected:
  PackWriterTest() {
    auto store = std::make_unique<MemoryStore>();
    store_ = store.get();
    repo_ = std::move(*Repository::Open(std::move(store), true));
  }

  MemoryStore* store_;
  std::unique_ptr<Repository> repo_;
  std::atomic<std::uint32_t> next_ = 1;
};

TEST_F(PackWriterTest, FramesStandOneAfterTheOtherBehindTheHead) {
  PackWriter packs(repo_.get(), "sn-1", &next_);
  const auto first = packs.Add(AsBytes("first"));
  const auto second = packs.Add(AsBytes("second"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(first->offset, kPackHeadSize);
  EXPECT_EQ(second->offset, kPackHeadSize + 5);
  EXPECT_TRUE(packs.published().empty());
  ASSERT_TRUE(packs.Close().ok());
  EXPECT_EQ(packs.published(), std::vector<std::uint32_t>{1});
  const Bytes pack = *store_->Get(layout::PackObject("sn-1", 1), 1000);
  EXPECT_TRUE(CheckPackHead(ByteView(pack).first(kPackHeadSize), "sn-1", 1).ok());
  EXPECT_EQ(AsText(ByteView(pack).subspan(kPackHeadSize)), "firstsecond");
}

TEST_F(PackWriterTest, APackIsClosedWhenItIsLongEnough) {
  PackWriter packs(repo_.get(), "sn-1", &next_, 200);
  const std::string frame(100, 'x');
  for (int i = 0; i < 5; i++) {
    ASSERT_TRUE(packs.Add(AsBytes(frame)).ok());
  }
  EXPECT_EQ(packs.published(), (std::vector<std::uint32_t>{1, 2}));
  ASSERT_TRUE(packs.Close().ok());
  EXPECT_EQ(store_->List(layout::PacksPrefix("sn-1"), "", 0)->size(), 3U);
}

TEST_F(PackWriterTest, WithoutFramesThereIsNoPack) {
  PackWriter packs(repo_.get(), "sn-1", &next_);
  EXPECT_TRUE(packs.Close().ok());
  EXPECT_TRUE(store_->List(layout::AllPacksPrefix(), "", 0)->empty());
}

TEST_F(PackWriterTest, NumbersAreSharedAndNeverUsedTwice) {
  PackWriter one(repo_.get(), "sn-1", &next_), other(repo_.get(), "sn-1", &next_);
  EXPECT_EQ(one.Add(AsBytes("x"))->number, 1U);
  EXPECT_EQ(other.Add(AsBytes("x"))->number, 2U);
  next_ = kMaxPackNumber + 1;
  PackWriter third(repo_.get(), "sn-1", &next_);
  EXPECT_EQ(third.Add(AsBytes("x")).status().code(), Code::kLimit);
}

TEST(PackHeadTest, SaysWhosePackItIs) {
  const Bytes head = EncodePackHead("sn-20261120T100000-0123abcd", 7);
  EXPECT_EQ(head.size(), kPackHeadSize);
  // Version 1 of the format: doc/snapshot-format.md.
  EXPECT_EQ(ToHex(head),
            "5049545270616b310700000000000000736e2d3230323631313230543130303030302d3031323361626364"
            "00000000000000000000000000" +
                ToHex(ByteView(head).last(8)));
  EXPECT_TRUE(CheckPackHead(head, "sn-20261120T100000-0123abcd", 7).ok());
  EXPECT_EQ(CheckPackHead(head, "sn-20261120T100000-0123abcd", 8).code(), Code::kCorrupt);
  EXPECT_EQ(CheckPackHead(head, "sn-20261120T100000-0123abce", 7).code(), Code::kCorrupt);
  EXPECT_EQ(CheckPackHead(ByteView(head).first(63), "sn-20261120T100000-0123abcd", 7).code(),
            Code::kCorrupt);
}

class FrameBuilderTest : public PackWriterTest {
 protected:
  void Take(FrameBuilder* builder, std::uint32_t file, std::uint64_t offset, ByteView bytes) {
    ASSERT_LE(bytes.size(), builder->room());
    std::copy(bytes.begin(), bytes.end(), builder->space());
    builder->Take(file, offset, bytes.size());
  }

  const KnownFrames nothing_known_;
};

TEST_F(FrameBuilderTest, NeighboursAreOneExtentAndZeroPagesNone) {
  PackWriter packs(repo_.get(), "sn-1", &next_);
  FrameBuilder builder(&packs, 1, &nothing_known_);
  Bytes pages;
  for (const std::uint32_t seed : {1U, 2U, 0U, 3U}) {  // the third page is zero
    const Bytes page = seed == 0 ? Bytes(kPageSize) : FakePage(seed, 0);
    pages.insert(pages.end(), page.begin(), page.end());
  }
  Take(&builder, 5, 65536, pages);
  EXPECT_EQ(builder.room(), kFrameSize - 3U * kPageSize);
  ASSERT_EQ(builder.extents().size(), 2U);
  EXPECT_EQ(builder.extents()[0].file, 5U);
  EXPECT_EQ(builder.extents()[0].extent.file_offset, 65536U);
  EXPECT_EQ(builder.extents()[0].extent.length, 2U * kPageSize);
  EXPECT_EQ(builder.extents()[1].extent.file_offset, 65536U + 3U * kPageSize);
  EXPECT_EQ(builder.extents()[1].extent.frame_offset, 2U * kPageSize);
  ASSERT_TRUE(builder.Flush().ok());
  ASSERT_EQ(builder.frames().size(), 1U);
  EXPECT_EQ(builder.frames()[0].plain_size, 3U * kPageSize);
  EXPECT_LT(builder.frames()[0].packed_size, 3U * kPageSize);
  EXPECT_FALSE(builder.frames()[0].stored);
}

TEST_F(FrameBuilderTest, NothingButZeroesMakesNoFrame) {
  PackWriter packs(repo_.get(), "sn-1", &next_);
  FrameBuilder builder(&packs, 1, &nothing_known_);
  Take(&builder, 0, 0, Bytes(kFrameSize));
  ASSERT_TRUE(builder.Flush().ok());
  EXPECT_TRUE(builder.frames().empty());
  EXPECT_TRUE(builder.extents().empty());
}

TEST_F(FrameBuilderTest, WhatDoesNotCompressIsStored) {
  PackWriter packs(repo_.get(), "sn-1", &next_);
  FrameBuilder builder(&packs, 3, &nothing_known_);
  const Bytes noise = *RandomBytes(20000);
  Take(&builder, 0, 0, noise);
  ASSERT_TRUE(builder.Flush().ok());
  ASSERT_TRUE(packs.Close().ok());
  EXPECT_TRUE(builder.frames()[0].stored);
  EXPECT_EQ(builder.frames()[0].packed_size, noise.size());
  EXPECT_EQ(*store_->GetRange(layout::PackObject("sn-1", 1), kPackHeadSize, noise.size()), noise);
}

TEST_F(FrameBuilderTest, LevelZeroStores) {
  PackWriter packs(repo_.get(), "sn-1", &next_);
  FrameBuilder builder(&packs, 0, &nothing_known_);
  Take(&builder, 0, 0, FakePage(1, 0));
  ASSERT_TRUE(builder.Flush().ok());
  EXPECT_TRUE(builder.frames()[0].stored);
}

}  // namespace
}  // namespace pitr
