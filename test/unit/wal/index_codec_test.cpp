#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/wal/index.h"
#include "core/wal/index_body.h"
#include "core/wal/layout.h"
#include "unit/support/index_text.h"
#include "unit/support/wal_builder.h"

namespace pitr::wal {
namespace {

constexpr RelFork kTable{1663, 5, 16384, 0};
constexpr Timestamp kNoon{1763640000000000};  // 2025-11-20 12:00 UTC
constexpr std::size_t kPlainSizeAt = 104, kPackedSizeAt = 108, kBodyHashAt = 112, kHeadHashAt = 120;

// A segment with one of everything, between two records that run over its borders.
SegmentIndex Sample() {
  const RootIdentity root = TestRoot();
  const Lsn begin = SegmentStart(7, root.segment_size);
  WalBuilder wal(root, 2, SegmentStart(6, root.segment_size));
  wal.FillTo({begin.value - 16}).Commit(729, kNoon);
  ParameterChange change;
  change.max_connections = 100;
  change.max_worker_processes = 8;
  change.max_wal_senders = 10;
  change.max_prepared_transactions = -1;
  change.max_locks_per_transaction = 64;
  change.wal_level = 1;
  change.wal_log_hints = true;
  wal.Commit(730, {kNoon.micros + 17})
      .BlockTouch(kTable, 5)
      .BlockTouch(kTable, 6)
      .BlockTouch(kTable, 700000)
      .BlockTouch({1663, 5, 16384, 2}, 0, true)
      .BlockTouch({1664, 0, 1262, 0}, 0)
      .Abort(731, {kNoon.micros - 1000000}, {{1663, 5, 16999, 0}})
      .Prepare(732, kNoon, "to be decided")
      .CommitPrepared(732, {kNoon.micros + 44}, "to be decided")
      .AbortPrepared(733, {kNoon.micros + 45})
      .RestorePoint("before the mistake", {kNoon.micros + 50})
      .Commit(4294967295U, {kNoon.micros + 60}, {kTable, {1663, 5, 16390, 0}}, 2)
      .Create({1663, 5, 17000, 3})
      .Truncate({1663, 5, 16400, 0}, 12, 7)
      .DatabaseCopied(16500, 1663)
      .DatabaseLogged(16501, 1663)
      .DatabaseDropped(16500, {1663, 16600})
      .Parameters(change)
      .Checkpoint(begin + 4096)
      .EndOfRecovery(2, 1);
  WalRecord custom;
  custom.resource_manager = 130;
  custom.info = record::kSpecialRelationUpdate;
  custom.main_data.assign(10, 1);
  wal.Add(custom);
  wal.FillTo({begin.value + root.segment_size - 24}).Commit(735, kNoon).Switch();
  IndexBuilder builder({root, {2, 7}});
  EXPECT_TRUE(builder.Add(wal.Segment(1)).ok());
  auto index = builder.Finish();
  EXPECT_TRUE(index.ok());
  return index.ok() ? *index : SegmentIndex();
}

void Put(std::uint64_t value, std::size_t size, std::size_t at, Bytes* bytes) {
  for (std::size_t i = 0; i < size; i++) {
    (*bytes)[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

// Makes the checksums fit what was changed: the checks behind them are to be tested.
void Seal(Bytes* bytes) {
  Put(Xxh3(ByteView(*bytes).subspan(kIndexHeadSize)), 8, kBodyHashAt, bytes);
  Put(Xxh3(ByteView(*bytes).first(kHeadHashAt)), 8, kHeadHashAt, bytes);
}

// An object with the head of `index` and this body.
Bytes WithBody(const SegmentIndex& index, const Bytes& plain) {
  Bytes packed;
  EXPECT_TRUE(CompressBlock(3, plain, &packed).ok());
  Bytes bytes = EncodeIndex(index);
  bytes.resize(kIndexHeadSize);
  Put(plain.size(), 4, kPlainSizeAt, &bytes);
  Put(packed.size(), 4, kPackedSizeAt, &bytes);
  bytes.insert(bytes.end(), packed.begin(), packed.end());
  Seal(&bytes);
  return bytes;
}

TEST(IndexCodecTest, EverythingSurvives) {
  const SegmentIndex index = Sample();
  ASSERT_FALSE(index.partial) << index.end_reason;
  ASSERT_TRUE(index.head.present && index.tail.present);
  const Bytes bytes = EncodeIndex(index);
  const auto decoded = DecodeIndex(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(IndexText(*decoded), IndexText(index));
  EXPECT_EQ(EncodeIndex(*decoded), bytes);
  EXPECT_EQ(decoded->counts.events, 7U);
  EXPECT_EQ(decoded->counts.commits, 3U);
  EXPECT_EQ(decoded->counts.restore_points, 1U);
  EXPECT_EQ(decoded->counts.relation_forks, 3U);
}

TEST(IndexCodecTest, AnEmptyIndexSurvives) {
  SegmentIndex index;
  index.root = TestRoot();
  index.segment = {1, 3};
  index.partial = true;
  const auto decoded = DecodeIndex(EncodeIndex(index));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(IndexText(*decoded), IndexText(index));
}

TEST(IndexCodecTest, TheHeadAloneSaysWhatASearchNeeds) {
  const SegmentIndex index = Sample();
  const Bytes bytes = EncodeIndex(index);
  const auto head = DecodeIndexHead(ByteView(bytes).first(kIndexHeadSize));
  ASSERT_TRUE(head.ok()) << head.status().ToString();
  EXPECT_EQ(head->root, index.root);
  EXPECT_EQ(head->segment, index.segment);
  EXPECT_EQ(head->first_start, index.first_start);
  EXPECT_EQ(head->last_start, index.last_start);
  EXPECT_EQ(head->last_end, index.last_end);
  EXPECT_EQ(head->head_end, index.head_end);
  EXPECT_EQ(head->min_time, index.min_time);
  EXPECT_EQ(head->max_time, index.max_time);
  EXPECT_EQ(head->records, index.records);
  EXPECT_TRUE(head->tail.present);
  EXPECT_TRUE(head->unexplained_changes);
  EXPECT_EQ(head->counts.restore_points, 1U);
  EXPECT_TRUE(head->events.empty());
  EXPECT_EQ(DecodeIndexHead(ByteView(bytes).first(kIndexHeadSize - 1)).status().code(),
            Code::kCorrupt);
}

TEST(IndexCodecTest, AnyOtherByteIsFound) {
  const Bytes bytes = EncodeIndex(Sample());
  for (std::size_t at = 0; at < bytes.size(); at++) {
    Bytes damaged = bytes;
    damaged[at] ^= 0x40;
    EXPECT_FALSE(DecodeIndex(damaged).ok()) << at;
    if (at < kIndexHeadSize) {
      EXPECT_FALSE(DecodeIndexHead(damaged).ok()) << at;
    }
  }
}

TEST(IndexCodecTest, ShorterAndLongerObjectsAreCorrupt) {
  Bytes bytes = EncodeIndex(Sample());
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kIndexHeadSize - 1, kIndexHeadSize, bytes.size() - 1}) {
    EXPECT_EQ(DecodeIndex(ByteView(bytes).first(size)).status().code(), Code::kCorrupt) << size;
  }
  bytes.push_back(0);
  EXPECT_EQ(DecodeIndex(bytes).status().code(), Code::kCorrupt);
}

TEST(IndexCodecTest, ANewerVersionIsUnsupportedAndNotCorrupt) {
  Bytes bytes = EncodeIndex(Sample());
  Put(2, 2, 4, &bytes);
  Seal(&bytes);
  EXPECT_EQ(DecodeIndex(bytes).status().code(), Code::kUnsupported);
  Put(0, 2, 4, &bytes);
  Seal(&bytes);
  EXPECT_EQ(DecodeIndex(bytes).status().code(), Code::kCorrupt);
}

TEST(IndexCodecTest, ImpossibleHeadsAreCorruptEvenWithRightChecksums) {
  const auto refused = [](std::uint64_t value, std::size_t size, std::size_t at) {
    Bytes bytes = EncodeIndex(Sample());
    Put(value, size, at, &bytes);
    Seal(&bytes);
    return DecodeIndex(bytes).status().code() == Code::kCorrupt;
  };
  EXPECT_TRUE(refused(0x4000, 2, 6)) << "unknown flags";
  EXPECT_TRUE(refused(3U << 20, 4, 20)) << "segment size";
  EXPECT_TRUE(refused(~std::uint64_t{0}, 8, 28)) << "segment number";
  EXPECT_TRUE(refused(0xFFFFFFFF, 4, kPlainSizeAt)) << "a body larger than any";
  EXPECT_TRUE(refused(8, 4, 88)) << "number of events";
}

TEST(IndexCodecTest, BodiesThatNoWriterMakesAreCorrupt) {
  const SegmentIndex index = Sample();
  Bytes plain;
  WriteIndexBody(index, &plain);
  ASSERT_TRUE(DecodeIndex(WithBody(index, plain)).ok());
  Bytes longer = plain;
  longer.push_back(0);
  EXPECT_EQ(DecodeIndex(WithBody(index, longer)).status().code(), Code::kCorrupt);
  for (std::size_t size = 0; size < plain.size(); size++) {
    const Bytes shorter(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(DecodeIndex(WithBody(index, shorter)).status().code(), Code::kCorrupt) << size;
  }
  // What is still accepted after a change must be something that a writer makes.
  for (std::size_t at = 0; at < plain.size(); at++) {
    for (const std::uint8_t flip : {std::uint8_t{1}, std::uint8_t{0x80}, std::uint8_t{0xFF}}) {
      Bytes other = plain;
      other[at] ^= flip;
      const auto decoded = DecodeIndex(WithBody(index, other));
      if (decoded.ok()) {
        Bytes again;
        WriteIndexBody(*decoded, &again);
        EXPECT_EQ(again, other) << at;
      }
    }
  }
}

TEST(IndexCodecTest, StartsOutsideTheSegmentAreCorrupt) {
  const SegmentIndex index = Sample();
  const auto refused = [&](SegmentIndex other) {
    Bytes plain;
    WriteIndexBody(other, &plain);
    return DecodeIndex(WithBody(index, plain)).status().code() == Code::kCorrupt;
  };
  SegmentIndex other = index;
  other.events.back().start = SegmentStart(8, index.root.segment_size);
  EXPECT_TRUE(refused(other));
  other = index;
  std::swap(other.events.front(), other.events.back());
  EXPECT_TRUE(refused(other)) << "not in order";
  other = index;
  other.tail.start = SegmentStart(9, index.root.segment_size);
  EXPECT_TRUE(refused(other));
}

// pgbench: five blocks of four relations and a commit for each transaction, block images at first.
TEST(IndexCodecTest, TheIndexOfAPgbenchSegmentIsBelowTwoPercent) {
  const RootIdentity root = TestRoot(15, 4U << 20);
  const Lsn begin = SegmentStart(3, root.segment_size);
  WalBuilder wal(root, 1, begin);
  std::uint64_t random = 7;
  const auto next = [&](std::uint32_t limit) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>((random >> 33) % limit);
  };
  Timestamp time = kNoon;
  for (Xid xid = 1000; wal.next() < begin + ((4U << 20) - 4096); xid++) {
    wal.BlockTouch({1663, 5, 16390, 0}, next(16000))
        .BlockTouch({1663, 5, 16400, 0}, next(10))
        .BlockTouch({1663, 5, 16410, 0}, next(5))
        .BlockTouch({1663, 5, 16420, 0}, xid / 150);
    time.micros += 100 + next(900);
    wal.Commit(xid, time);
  }
  wal.Switch();
  IndexBuilder builder({root, {1, 3}});
  ASSERT_TRUE(builder.Add(wal.Bytes()).ok());
  const auto index = builder.Finish();
  ASSERT_TRUE(index.ok());
  ASSERT_GT(index->events.size(), 5000U);
  EXPECT_LT(EncodeIndex(*index).size(), (4U << 20) / 50);
}

TEST(IndexCodecTest, TheExampleOfTheFormatPageIsRight) {
  const RootIdentity root = TestRoot();
  WalBuilder wal(root, 1, SegmentStart(3, root.segment_size));
  wal.BlockTouch(kTable, 7).BlockTouch(kTable, 8).BlockTouch(kTable, 300);
  wal.Commit(730, kNoon).Switch();
  IndexBuilder builder({root, {1, 3}});
  ASSERT_TRUE(builder.Add(wal.Bytes()).ok());
  const auto index = builder.Finish();
  ASSERT_TRUE(index.ok());
  Bytes body;
  WriteIndexBody(*index, &body);
  EXPECT_EQ(ToHex(body), "0180022801b40b80c0b1fbad81a20601fe190a80800200030700a30200000000000000");
  EXPECT_EQ(ToHex(ByteView(EncodeIndex(*index)).first(kPackedSizeAt)),
            "50574958010000004ef3ec39359adb620f0010d100001000010000000300000000000000"
            "280030000000000028013000000000000000400000000000000000000000000000"
            "30b66f054406000030b66f0544060005000000010000000100000000000000010000002300"
            "0000");
}

// The twin in words comes first: when the two differ, it says where. PITR_UPDATE_GOLDEN=1 writes both, for a
// new version of the format only: a golden file that was published is never written again.
TEST(IndexGoldenTest, TodaysWriterMakesVersion1AndTodaysReaderReadsIt) {
  const std::string base = std::string(PITR_TEST_DIR) + "/golden/wal_index/v1";
  const SegmentIndex index = Sample();
  if (std::getenv("PITR_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileDurably(base + ".txt", AsBytes(IndexText(index)), 0644).ok());
    ASSERT_TRUE(WriteFileDurably(base + ".bin", EncodeIndex(index), 0644).ok());
  }
  const auto text = ReadTextFile(base + ".txt", 1U << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(IndexText(index), *text);
  const auto golden = ReadFile(base + ".bin", 1U << 20);
  ASSERT_TRUE(golden.ok()) << golden.status().ToString();
  const auto decoded = DecodeIndex(*golden);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(IndexText(*decoded), *text);

  // Byte for byte up to zstd's own choices, which may differ from release to release of that library: the
  // heads but for the packed size and the checksums, and the body as it is before compression.
  const Bytes today = EncodeIndex(index);
  EXPECT_EQ(ToHex(ByteView(today).first(kPackedSizeAt)),
            ToHex(ByteView(*golden).first(kPackedSizeAt)));
  Bytes plain;
  WriteIndexBody(index, &plain);
  Bytes golden_plain(plain.size());
  const Status status = DecompressBlock(ByteView(*golden).subspan(kIndexHeadSize), false,
                                        golden_plain.data(), golden_plain.size());
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(ToHex(golden_plain), ToHex(plain));
}

}  // namespace
}  // namespace pitr::wal
