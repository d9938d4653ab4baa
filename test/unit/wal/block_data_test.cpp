#include "core/wal/block_data.h"

#include <gtest/gtest.h>

#include "core/codec/compress.h"
#include "core/wal/page_reader.h"
#include "unit/support/wal_builder.h"

namespace pitr::wal {
namespace {

std::string Pglz(pitr::Bytes packed, std::size_t size) {
  pitr::Bytes out(size);
  return DecompressPglz(packed, out.data(), size) ? std::string(AsText(out)) : "refused";
}
std::string Lz4(pitr::Bytes packed, std::size_t size) {
  pitr::Bytes out(size);
  return DecompressLz4(packed, out.data(), size) ? std::string(AsText(out)) : "refused";
}

TEST(BlockData, Pglz) {
  EXPECT_EQ(Pglz({0x00, 'a', 'b'}, 2), "ab");
  // Three bytes, then six from three behind: the copy reads what it writes.
  EXPECT_EQ(Pglz({0x08, 'a', 'b', 'c', 0x03, 0x03}, 9), "abcabcabc");
  // A long copy has a byte more.
  EXPECT_EQ(Pglz({0x02, 'x', 0x0F, 0x01, 0x02}, 21), std::string(21, 'x'));
  EXPECT_EQ(Pglz({0x02, 'x', 0x0F, 0x01}, 21), "refused");
  EXPECT_EQ(Pglz({0x01, 0x00, 0x01}, 3), "refused") << "a copy from before the beginning";
  EXPECT_EQ(Pglz({0x00, 'a', 'b', 'c'}, 2), "refused") << "more than wanted";
  EXPECT_EQ(Pglz({0x00, 'a'}, 2), "refused") << "less than wanted";
  EXPECT_EQ(Pglz({0x08, 'a', 'b', 'c', 0x03, 0x00}, 9), "refused") << "a distance of nothing";
}

TEST(BlockData, Lz4) {
  EXPECT_EQ(Lz4({0x32, 'a', 'b', 'c', 0x03, 0x00, 0x50, 'v', 'w', 'x', 'y', 'z'}, 14),
            "abcabcabcvwxyz");
  // 15 + 4 + 2 of a copy.
  EXPECT_EQ(Lz4({0x1F, 'x', 0x01, 0x00, 0x02, 0x10, 'y'}, 23), std::string(22, 'x') + "y");
  EXPECT_EQ(Lz4({0x32, 'a', 'b', 'c', 0x03, 0x00}, 9), "refused") << "ends with a copy";
  EXPECT_EQ(Lz4({0x32, 'a', 'b', 'c', 0x04, 0x00, 0x10, 'v'}, 10), "refused") << "from too far";
  EXPECT_EQ(Lz4({0xF0, 0xFF}, 300), "refused") << "a length without an end";
  EXPECT_EQ(Lz4({0x50, 'a'}, 5), "refused");
  EXPECT_EQ(Lz4({}, 0), "refused");
}

BlockData ImageOf(const pitr::Bytes& page, std::uint16_t hole_offset, std::uint16_t hole_length,
                  pitr::Bytes* kept) {
  kept->assign(page.begin(), page.begin() + hole_offset);
  kept->insert(kept->end(), page.begin() + hole_offset + hole_length, page.end());
  BlockData block;
  block.has_image = true;
  block.hole_offset = hole_offset;
  block.hole_length = hole_length;
  block.image = *kept;
  return block;
}

TEST(BlockData, AnImageIsThePageWithItsHole) {
  pitr::Bytes page(kPageSize, 0);
  for (std::size_t i = 0; i < kPageSize; i++) {
    page[i] = i < 100 || i >= 8000 ? static_cast<std::uint8_t>(i * 7 + 1) : std::uint8_t{0};
  }
  pitr::Bytes kept, restored(kPageSize, 0xEE), packed;
  BlockData block = ImageOf(page, 100, 7900, &kept);
  ASSERT_TRUE(RestoreImage(block, restored.data()));
  EXPECT_EQ(restored, page);
  ASSERT_TRUE(CompressBlock(3, kept, &packed).ok());
  block.image = packed;
  block.compression = block::kImageZstd;
  restored.assign(kPageSize, 0xEE);
  ASSERT_TRUE(RestoreImage(block, restored.data()));
  EXPECT_EQ(restored, page);
  block.compression = block::kImagePglz;
  EXPECT_FALSE(RestoreImage(block, restored.data()));
  block.compression = 0;
  EXPECT_FALSE(RestoreImage(block, restored.data())) << "of another size";
  block.hole_length = 8150;
  EXPECT_FALSE(RestoreImage(block, restored.data())) << "a hole over the end";
}

// Takes the first record of a segment apart.
class First final : public RecordSink {
 public:
  bool OnRecord(const RawRecord& record) override {
    ok = DecodeBlockData(record.bytes, &blocks);
    for (const BlockData& block : blocks) {
      sizes.emplace_back(block.data.size(), block.image.size());
    }
    const ByteView shorter = record.bytes.first(record.bytes.size() - 1);
    std::vector<BlockData> nothing;
    refuses_shorter = !DecodeBlockData(shorter, &nothing);
    return false;
  }
  bool ok = false, refuses_shorter = false;
  std::vector<BlockData> blocks;
  std::vector<std::pair<std::size_t, std::size_t>> sizes;
};

TEST(BlockData, OfARecordWithSeveralBlocks) {
  const RootIdentity root = TestRoot();
  WalBuilder builder(root, 1, SegmentStart(1, root.segment_size));
  WalRecord record;
  record.resource_manager = rmgr::kHeap;
  record.xid = 700;
  record.blocks = {{{1663, 5, 1259, 0}, 3, false, 20},
                   {{1663, 5, 1259, 0}, 4, true, 0},
                   {{1663, 5, 16384, 1}, 9, false, 5}};
  record.main_data = {1, 2, 3, 4};
  builder.Add(record);
  First first;
  PageReaderOptions options;
  options.root = root;
  options.begin = SegmentStart(1, root.segment_size);
  PageReader reader(options, &first);
  ASSERT_TRUE(reader.Feed(builder.Segment(0)).ok());
  ASSERT_TRUE(first.ok);
  EXPECT_TRUE(first.refuses_shorter);
  ASSERT_EQ(first.blocks.size(), 3U);
  EXPECT_EQ(first.blocks[1].block, 4U);
  EXPECT_TRUE(first.blocks[1].has_image);
  EXPECT_EQ(first.blocks[2].relation, (RelFork{1663, 5, 16384, 1}));
  EXPECT_EQ(first.sizes[0].first, 20U);
  EXPECT_EQ(first.sizes[1], (std::pair<std::size_t, std::size_t>(0, kPageSize)));
  EXPECT_EQ(first.sizes[2].first, 5U);
}

}  // namespace
}  // namespace pitr::wal
