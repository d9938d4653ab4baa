#include "core/demand/index.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/demand/index_sections.h"
#include "core/demand/presence.h"

namespace pitr::demand {
namespace {

IndexContent Sample() {
  IndexContent content;
  for (std::size_t i = 0; i < content.id.size(); i++) {
    content.id[i] = static_cast<std::uint8_t>(i);
  }
  content.snapshot = "sn-20261120T100000-abcd";
  content.places = {"/repository", "/other place"};
  content.packs = {"packs/sn-20261120T100000-abcd/000001", "packs/sn-20261119T100000-0123/000007"};
  content.frames = {{0, 64, 0x1122334455667788, 1000, 262144, false},
                    {1, 4096, 0x99AABBCCDDEEFF00, 16384, 16384, true}};
  content.files = {{"base/5/1259", 34, {{0, 32, 0, 0}, {33, 1, 1, 1}}, 1234, 1750000000, 5},
                   {"pg_tblspc/16400/PG_15_202209061/5/16401.1", 1, {{0, 1, 1, 0}}, 99, 0, 0}};
  return content;
}

TEST(DemandIndex, ReadsWhatWasWritten) {
  const Bytes bytes = EncodeIndex(Sample());
  const auto index = IndexView::Open(bytes);
  ASSERT_TRUE(index.ok()) << index.status().ToString();
  EXPECT_EQ(index->snapshot(), "sn-20261120T100000-abcd");
  EXPECT_EQ(index->Text(index->places()[1]), "/other place");
  EXPECT_EQ(index->header().pages, 35U);
  EXPECT_EQ(index->header().words, 2U);
  ASSERT_EQ(index->FindFile("base/5/1259"), 0U);
  ASSERT_EQ(index->FindFile("pg_tblspc/16400/PG_15_202209061/5/16401.1"), 1U);
  EXPECT_FALSE(index->FindFile("base/5/12590"));
  EXPECT_FALSE(index->FindFile(""));
  const FileEntry& file = index->files()[0];
  EXPECT_EQ(index->FindRun(file, 31)->frame, 0U);
  EXPECT_EQ(index->FindRun(file, 32), nullptr) << "a page in no frame";
  EXPECT_EQ(index->FindRun(file, 33)->frame_page, 1U);
  EXPECT_EQ(file.born_seconds, 1750000000);
}

TEST(DemandIndex, NoByteCanBeChanged) {
  const Bytes good = EncodeIndex(Sample());
  for (std::size_t i = 0; i < good.size(); i++) {
    Bytes bad = good;
    bad[i] ^= 0x20;
    EXPECT_FALSE(IndexView::Open(bad).ok()) << "byte " << i;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, good.size() - 1}) {
    EXPECT_FALSE(IndexView::Open(ByteView(good).first(size)).ok());
  }
}

// With right checksums: what does not fit together is found by looking at it.
TEST(DemandIndex, RefusesWhatDoesNotFit) {
  const auto refused = [](auto change) {
    IndexContent content = Sample();
    change(&content);
    const Bytes bytes = EncodeIndex(content);
    const auto index = IndexView::Open(bytes);
    return index.status().code() == Code::kCorrupt;
  };
  EXPECT_FALSE(refused([](IndexContent*) {}));
  EXPECT_FALSE(refused([](IndexContent* c) { c->places[1] = "fetch:s3://bucket/prefix"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->places[1] = "other place"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].path = "base/../5/1"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].path = "global/1260"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].path = "base/5/"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[1].path = c->files[0].path; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].runs[1].page = 31; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].runs[1].pages = 2; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].runs[1].frame = 2; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].runs[1].frame_page = 2; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].runs[0].pages = 0; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->frames[0].pack = 2; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->frames[0].plain_size = kMaxFrameBytes + 1; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->frames[0].packed_size = kMaxPackedBytes + 1; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->places[0] = "relative"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->packs[0] = "packs/../../etc"; }));
  EXPECT_TRUE(refused([](IndexContent* c) { c->files[0].pages = 0; }));
}

TEST(DemandIndex, AnotherVersionIsNotDamage) {
  Bytes bytes = EncodeIndex(Sample());
  bytes[8] = 2;
  EXPECT_EQ(IndexView::Open(bytes).status().code(), Code::kUnsupported);
}

TEST(DemandIndex, IsTheGoldenFile) {
  const auto golden = ReadFile(std::string(PITR_TEST_DIR) + "/golden/presence/v1.bin", 1 << 20);
  ASSERT_TRUE(golden.ok());
  EXPECT_EQ(EncodeIndex(Sample()), *golden);
}

TEST(DemandIndex, FindsEachOfManyFiles) {
  IndexContent content;
  content.places = {"/r"};
  content.packs = {"packs/a/1"};
  content.frames = {{0, 64, 1, 10, kPageBytes, false}};
  for (int i = 0; i < 100'000; i++) {
    content.files.push_back({"base/5/" + std::to_string(16384 + i), 9, {}, 1, 0, 0});
  }
  const Bytes bytes = EncodeIndex(content);
  const auto index = IndexView::Open(bytes);
  ASSERT_TRUE(index.ok()) << index.status().ToString();
  EXPECT_EQ(index->FindFile("base/5/16384"), 0U);
  EXPECT_EQ(index->FindFile("base/5/116383"), 99'999U);
  EXPECT_FALSE(index->FindFile("base/5/116384"));
}

TEST(DemandIndex, MapsHaveTheSizeThatTheHeaderSays) {
  const Bytes bytes = EncodeIndex(Sample());
  const auto index = IndexView::Open(bytes);
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(BitsWordsOffset(index->header()), 64U);
  EXPECT_EQ(BitsFileSize(index->header()), 64U + 16U);
  EXPECT_TRUE(IsHeaderOf(MakeBitsHeader(index->header()), index->header()));
  BitsHeader other = MakeBitsHeader(index->header());
  other.id[3] ^= 1;
  EXPECT_FALSE(IsHeaderOf(other, index->header()));
}

}  // namespace
}  // namespace pitr::demand
