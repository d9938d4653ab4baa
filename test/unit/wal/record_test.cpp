#include "core/wal/record.h"

#include <gtest/gtest.h>

namespace pitr::wal {
namespace {

constexpr RelFork kTable{1663, 5, 16384, 0};

// A record by hand: only what stands behind the fixed header matters here.
class RecordBytes {
 public:
  RecordBytes() { bytes_.resize(record::kHeader); }
  RecordBytes& U8(unsigned v) {
    out_.U8(static_cast<std::uint8_t>(v));
    return *this;
  }
  RecordBytes& U16(unsigned v) {
    out_.U16(static_cast<std::uint16_t>(v));
    return *this;
  }
  RecordBytes& U32(std::uint32_t v) {
    out_.U32(v);
    return *this;
  }
  RecordBytes& U64(std::uint64_t v) {
    out_.U64(v);
    return *this;
  }
  RecordBytes& Relation(const RelFork& r) {
    return U32(r.tablespace).U32(r.database).U32(r.relation);
  }
  RecordBytes& Fill(std::size_t size) {
    bytes_.resize(bytes_.size() + size, 0x33);
    return *this;
  }
  // A block reference without image.
  RecordBytes& Block(unsigned id, unsigned flags, unsigned data_size) {
    return U8(id).U8(flags).U16(data_size);
  }
  const Bytes& bytes() const { return bytes_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }

 private:
  Bytes bytes_;
  ByteWriter out_{&bytes_};
};

bool Decodes(const RecordBytes& record, RecordBody* body) {
  return DecodeBody(record.bytes(), record.size(), body);
}
bool Decodes(const RecordBytes& record) {
  RecordBody body;
  return Decodes(record, &body);
}

TEST(RecordTest, ABareHeaderIsARecord) {
  RecordBody body;
  ASSERT_TRUE(Decodes(RecordBytes(), &body));
  EXPECT_EQ(body.block_count, 0U);
  EXPECT_TRUE(body.main_data.empty());
}

TEST(RecordTest, ReadsBlocksOriginXidAndMainData) {
  RecordBytes record;
  record.Block(0, block::kHasData, 10).Relation(kTable).U32(7);
  record.Block(3, block::kSameRelation | 2, 0).U32(8);
  record.U8(record::kIdOrigin).U16(9);
  record.U8(record::kIdTopLevelXid).U32(99);
  record.U8(record::kIdDataShort).U8(5);
  record.Fill(10 + 5);
  RecordBody body;
  ASSERT_TRUE(Decodes(record, &body));
  ASSERT_EQ(body.block_count, 2U);
  EXPECT_EQ(body.blocks[0].relation, kTable);
  EXPECT_EQ(body.blocks[0].block, 7U);
  EXPECT_FALSE(body.blocks[0].has_image);
  EXPECT_EQ(body.blocks[1].relation, (RelFork{1663, 5, 16384, 2}));
  EXPECT_EQ(body.blocks[1].block, 8U);
  EXPECT_EQ(body.main_data.size(), 5U);
}

TEST(RecordTest, ReadsLongMainData) {
  RecordBytes record;
  record.U8(record::kIdDataLong).U32(300).Fill(300);
  RecordBody body;
  ASSERT_TRUE(Decodes(record, &body));
  EXPECT_EQ(body.main_data.size(), 300U);
  EXPECT_FALSE(body.main_data_cut);
}

struct Image {
  unsigned length, hole_offset, info;
  int hole_length;  // -1: not there
  bool good;
};

TEST(RecordTest, ImagesAreCheckedAsTheServerChecksThem) {
  constexpr unsigned kHole = block::kImageHasHole, kPglz = 4;
  const Image images[] = {
      {8192, 0, 0, -1, true},        // whole
      {8000, 100, kHole, -1, true},  // with a hole
      {4000, 0, kPglz, -1, true},    // compressed
      {4000, 50, kPglz | kHole, 90, true},
      {8000, 0, 0, -1, false},        // shorter without saying why
      {8000, 0, kHole, -1, false},    // a hole at the beginning
      {8192, 100, kHole, -1, false},  // a hole of nothing
      {8192, 0, kPglz, -1, false},    // compressed to its full length
      {4000, 50, kPglz, -1, false},   // a hole that is not said
      {4000, 50, kPglz | kHole, 0, false},
  };
  for (const Image& image : images) {
    RecordBytes record;
    record.Block(0, block::kHasImage, 0).U16(image.length).U16(image.hole_offset).U8(image.info);
    if (image.hole_length >= 0) {
      record.U16(static_cast<unsigned>(image.hole_length));
    }
    record.Relation(kTable).U32(1).Fill(image.length);
    RecordBody body;
    EXPECT_EQ(Decodes(record, &body), image.good)
        << image.length << " " << image.hole_offset << " " << image.info;
    if (image.good) {
      EXPECT_TRUE(body.blocks[0].has_image);
    }
  }
}

TEST(RecordTest, LengthsThatDoNotAddUpAreRefused) {
  EXPECT_FALSE(Decodes(RecordBytes().U8(record::kIdDataShort).U8(5).Fill(4)));
  EXPECT_FALSE(Decodes(RecordBytes().U8(record::kIdDataShort).U8(5).Fill(6)));
  EXPECT_FALSE(Decodes(RecordBytes().U8(record::kIdDataLong).U32(0xFFFFFFFF).Fill(8)));
  EXPECT_FALSE(Decodes(RecordBytes().U8(record::kIdDataLong).U16(1)));
  EXPECT_FALSE(Decodes(RecordBytes().Block(0, 0, 0).Relation(kTable).U32(1).Fill(1)));
}

TEST(RecordTest, BlockReferencesThatCannotBeAreRefused) {
  EXPECT_FALSE(Decodes(RecordBytes().Block(0, block::kSameRelation, 0).U32(1)))
      << "no relation before";
  EXPECT_FALSE(Decodes(RecordBytes().Block(0, 0, 10).Relation(kTable).U32(1).Fill(10)))
      << "data without the flag";
  EXPECT_FALSE(Decodes(RecordBytes().Block(0, block::kHasData, 0).Relation(kTable).U32(1)))
      << "the flag without data";
  RecordBytes order;
  order.Block(1, 0, 0).Relation(kTable).U32(1).Block(1, block::kSameRelation, 0).U32(2);
  EXPECT_FALSE(Decodes(order)) << "the same id twice";
  EXPECT_FALSE(Decodes(RecordBytes().U8(33).Fill(19))) << "an id that nothing has";
}

TEST(RecordTest, EveryShorterFormOfARecordIsRefused) {
  RecordBytes record;
  record.Block(0, block::kHasData | block::kHasImage, 10).U16(4000).U16(50).U8(5).U16(90);
  record.Relation(kTable).U32(7).U8(record::kIdDataShort).U8(5).Fill(10 + 4000 + 5);
  RecordBody body;
  ASSERT_TRUE(Decodes(record, &body));
  // But for a bare header, and for one that ends exactly with the data of its block.
  const std::uint32_t without_main_data = 24 + 27 + 10 + 4000;
  for (std::uint32_t size = 0; size < record.size(); size++) {
    EXPECT_EQ(DecodeBody(ByteView(record.bytes()).first(size), size, &body),
              size == record::kHeader || size == without_main_data)
        << size;
  }
}

TEST(RecordTest, ACutRecordIsReadAsFarAsItGoes) {
  RecordBytes record;
  record.Block(0, block::kHasData, 1000).Relation(kTable).U32(7);
  record.U8(record::kIdDataLong).U32(5000).Fill(1000 + 5000);
  const ByteView all(record.bytes());
  RecordBody body;
  ASSERT_TRUE(DecodeBody(all.first(all.size() - 4000), record.size(), &body));
  EXPECT_EQ(body.block_count, 1U);
  EXPECT_EQ(body.main_data.size(), 1000U);
  EXPECT_TRUE(body.main_data_cut);
  ASSERT_TRUE(DecodeBody(all.first(100), record.size(), &body));
  EXPECT_TRUE(body.main_data.empty());
  EXPECT_TRUE(body.main_data_cut);
  EXPECT_FALSE(DecodeBody(all.first(30), record.size(), &body)) << "in the headers";
}

// Main data of a commit with everything that one can have.
RecordBytes FullCommit(std::size_t stats_item, std::string_view gid) {
  RecordBytes main;
  main.U64(1000).U32(0x1FF & ~(1U << 5) & ~(1U << 6)).U32(5).U32(1663);
  main.U32(2).U32(801).U32(802);
  main.U32(2).Relation(kTable).Relation({1664, 0, 1262, 0});
  main.U32(3).Fill(3 * stats_item);
  main.U32(4).Fill(4 * xact::kInvalidationSize);
  main.U32(800);
  for (const char c : gid) {
    main.U8(static_cast<unsigned char>(c));
  }
  main.U8(0);
  return main;
}

TransactionEnd DecodedEnd(const RecordBytes& main, std::uint8_t info, std::uint32_t major, bool* ok,
                          std::size_t size = ~std::size_t{0}, bool cut = false) {
  RecordBody body;
  body.main_data = ByteView(main.bytes()).subspan(record::kHeader);
  body.main_data = body.main_data.first(std::min(size, body.main_data.size()));
  body.main_data_cut = cut;
  RecordHeader header;
  header.info = info;
  TransactionEnd end;
  *ok = DecodeTransactionEnd(header, body, major, &end);
  return end;
}

TEST(TransactionEndTest, FindsTheRelationsAndTheNameBehindEveryOtherPart) {
  for (const std::uint32_t major : {15U, 17U, 18U}) {
    bool ok = false;
    const RecordBytes main = FullCommit(major >= 18 ? 16 : 12, "a gid");
    const TransactionEnd end = DecodedEnd(main, xact::kCommitPrepared | xact::kHasInfo, major, &ok);
    ASSERT_TRUE(ok) << major;
    EXPECT_EQ(ToPostgresTime(end.time), 1000);
    EXPECT_EQ(end.relations.size(), 24U);
    EXPECT_EQ(LoadRelation(end.relations.data() + 12, 0), (RelFork{1664, 0, 1262, 0}));
    EXPECT_EQ(end.prepared_xid, 800U);
    EXPECT_EQ(end.gid, "a gid");
  }
}

TEST(TransactionEndTest, PartsThatRunOverTheEndAreRefusedUnlessTheRecordWasCut) {
  const RecordBytes main = FullCommit(12, "a gid");
  const std::size_t whole = main.size() - record::kHeader;
  for (std::size_t size = 0; size < whole; size++) {
    bool ok = true;
    DecodedEnd(main, xact::kCommit | xact::kHasInfo, 15, &ok, size);
    EXPECT_FALSE(ok) << size;
    const TransactionEnd cut =
        DecodedEnd(main, xact::kCommit | xact::kHasInfo, 15, &ok, size, true);
    EXPECT_EQ(ok, size >= 8) << "the time must be there, " << size;
    EXPECT_EQ(cut.cut, size >= 8);
    EXPECT_EQ(cut.relations.size() % block::kRelation, 0U);
  }
}

TEST(TransactionEndTest, CountsThatNothingCanHoldAreRefused) {
  bool ok = true;
  DecodedEnd(RecordBytes().U64(0).U32(xact::kHasSubxacts).U32(0xFFFFFFFF),
             xact::kCommit | xact::kHasInfo, 15, &ok);
  EXPECT_FALSE(ok);
  DecodedEnd(RecordBytes().U64(0).U32(xact::kHasTwoPhase | xact::kHasGid).U32(5).Fill(300),
             xact::kCommit | xact::kHasInfo, 15, &ok);
  EXPECT_FALSE(ok) << "a name without an end";
}

TEST(TransactionEndTest, WithoutTheFlagThereIsTheTimeOnly) {
  bool ok = false;
  const TransactionEnd end = DecodedEnd(RecordBytes().U64(77), xact::kAbort, 15, &ok);
  EXPECT_TRUE(ok);
  EXPECT_EQ(ToPostgresTime(end.time), 77);
  EXPECT_EQ(end.prepared_xid, 0U);
}

}  // namespace
}  // namespace pitr::wal
