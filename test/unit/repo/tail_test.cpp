#include "core/repo/tail.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "unit/support/fault_store.h"
#include "unit/support/wal_repository.h"

namespace pitr {

namespace {

const std::string kPrefix = "branches/br-test-wal-1/";

class TailTest : public WalRepositoryTest {
 protected:
  WalReader Reader() {
    Branch branch;
    branch.id = options_.branch;
    branch.name = "main";
    branch.root = root_;
    return WalReader(repo_.get(), {branch});
  }
  // A segment that is written once, for the tests that do not mind which.
  const Bytes& Segment(std::uint64_t number) const {
    static std::map<std::uint64_t, Bytes>* const made = new std::map<std::uint64_t, Bytes>;
    Bytes& bytes = (*made)[number];
    if (bytes.empty()) {
      bytes = Wal(1, number, 1);
    }
    return bytes;
  }
  std::string Piece(std::uint64_t number, std::uint32_t begin, std::uint32_t end) const {
    return layout::TailObject(options_.branch, {{1, number}, begin, end}, kSegmentSize);
  }
  std::vector<std::string> Pieces() { return Objects(kPrefix + "tail/"); }
  // By hand, as another writer might have made it.
  void PutPiece(ByteView segment, std::uint64_t number, std::uint32_t begin, std::uint32_t end) {
    const Status status =
        WriteEnvelope(repo_->store(), Piece(number, begin, end), ObjectKind::kWalPart, 1,
                      segment.subspan(begin, end - begin));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void TailOk(std::uint64_t number, ByteView bytes, std::uint32_t flushed) {
    const Result<ShipResult> result = Tail({1, number}, bytes, flushed);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
  }
  // The beginning of the segment is there, and nothing that is not.
  void ExpectReadable(ByteView segment, std::uint64_t number, std::uint32_t flushed) {
    Result<Bytes> read = Reader().ReadSegment({1, number});
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, Cut(Bytes(segment.begin(), segment.end()), flushed));
  }
};

// A writer that is kept, and a file that grows as the server's does.
class TailWriterTest : public TailTest {
 protected:
  TailWriterTest() : writer_(repo_.get(), Fast()) {}
  ShipOptions Fast() {
    options_.compression_level = 1;
    return options_;
  }
  Result<ShipResult> Ship(std::uint64_t number, std::uint32_t flushed) {
    const std::string path = directory_ / NameOf(1, number);
    if (written_ != number) {
      Write(NameOf(1, number), Segment(number));
      written_ = number;
    }
    Result<ShipResult> result = writer_.Ship(path, {1, number}, flushed);
    EXPECT_TRUE(writer_.RemoveTakenIn().ok());
    return result;
  }
  void ShipOk(std::uint64_t number, std::uint32_t flushed) {
    const Result<ShipResult> result = Ship(number, flushed);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
  }

  TailWriter writer_;
  std::uint64_t written_ = 0;
};

TEST_F(TailWriterTest, APieceHoldsWhatWasFlushedSinceTheOneBefore) {
  ShipOk(5, 300000);
  EXPECT_EQ(Pieces(), std::vector<std::string>{Piece(5, 0, 300000)});
  Result<ShipResult> more = Ship(5, 400001);
  ASSERT_TRUE(more.ok());
  EXPECT_EQ(more->raw_bytes, 100001U);
  EXPECT_FALSE(more->was_there);
  EXPECT_EQ(Pieces(), (std::vector<std::string>{Piece(5, 0, 300000), Piece(5, 300000, 400001)}));
  ExpectReadable(Segment(5), 5, 400001);
}

TEST_F(TailWriterTest, SmallPiecesBecomeOne) {
  for (const std::uint32_t flushed : {1U, 40U, 8192U, 8200U, 50000U, 65536U}) {
    ShipOk(5, flushed);
    EXPECT_EQ(Pieces(), std::vector<std::string>{Piece(5, 0, flushed)});
    ExpectReadable(Segment(5), 5, flushed);
  }
}

TEST_F(TailWriterTest, NothingNewCostsNothing) {
  ShipOk(5, 300000);
  MemoryStore inner(objects_);
  auto store = std::make_unique<FaultStore>(&inner, FaultStore::Plan{FaultStore::kDieBefore, 1000});
  FaultStore* const counter = store.get();
  const std::unique_ptr<Repository> repo = *Repository::Open(std::move(store), false);
  TailWriter writer(repo.get(), options_);
  const std::string path = directory_ / NameOf(1, 5);
  ASSERT_TRUE(writer.Ship(path, {1, 5}, 300000).ok());
  const int before = counter->operations();
  for (const std::uint32_t flushed : {300000U, 200000U, 300000U}) {
    Result<ShipResult> result = writer.Ship(path, {1, 5}, flushed);
    ASSERT_TRUE(result.ok());
    EXPECT_TRUE(result->was_there);
  }
  EXPECT_FALSE(writer.has_replaceable());
  EXPECT_EQ(counter->operations(), before);
}

// However a segment is filled: few pieces at every moment, no byte shipped again and again, everything readable.
TEST_F(TailWriterTest, PiecesStayFewAndWorkStaysSmall) {
  std::mt19937 random(20261120);
  for (const std::uint32_t step : {1000U, 9000U, 40000U, 70000U, 300000U}) {
    Restart();
    writer_ = TailWriter(repo_.get(), options_);
    std::uint64_t shipped = 0;
    for (std::uint32_t flushed = 0; flushed < kSegmentSize;) {
      // Rates change by a factor of ten all the time.
      flushed = std::min<std::uint32_t>(
          kSegmentSize, flushed + 1 + static_cast<std::uint32_t>(random()) % (step * 2));
      Result<ShipResult> result = Ship(5, flushed);
      ASSERT_TRUE(result.ok()) << result.status().ToString();
      shipped += result->raw_bytes;
      // 1 MiB / 64 KiB = 2^4; and the rest, which takes nothing in.
      ASSERT_LE(Pieces().size(), flushed == kSegmentSize ? 6U : 5U) << step;
      if (random() % 16 == 0) {
        ExpectReadable(Segment(5), 5, flushed);
      }
    }
    ExpectReadable(Segment(5), 5, kSegmentSize);
    // Small ones are rewritten up to 64 KiB: 32 KiB on average each time.
    const double small = 32768.0 * kSegmentSize / step;
    EXPECT_LT(static_cast<double>(shipped), 5.0 * kSegmentSize + small) << step;
  }
}

TEST_F(TailWriterTest, SizesOfWhatStaysApartAtLeastHalve) {
  for (std::uint32_t flushed = 70000; flushed <= kSegmentSize; flushed += 70000) {
    ShipOk(5, flushed);
    std::vector<std::uint32_t> sizes;
    for (const std::string& name : Pieces()) {
      const auto piece = layout::ParseTailName(layout::LastPart(name), kSegmentSize);
      sizes.push_back(piece->end - piece->begin);
    }
    for (std::size_t i = 1; i < sizes.size(); i++) {
      EXPECT_LE(sizes[i], sizes[i - 1] / 2) << flushed;
    }
  }
}

// The whole segment is on its way when it has ended: nothing is shipped again for the sake of few pieces.
TEST_F(TailWriterTest, TheRestOfASegmentTakesNothingIn) {
  ShipOk(5, 10000);
  Result<ShipResult> rest = Ship(5, kSegmentSize);
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->raw_bytes, kSegmentSize - 10000);
  EXPECT_EQ(writer_.segment(), (SegmentId{1, 5}));
  EXPECT_EQ(writer_.reached(), kSegmentSize);
  ExpectReadable(Segment(5), 5, kSegmentSize);
}

TEST_F(TailWriterTest, PiecesGoWhenTheWholeSegmentIsThere) {
  ShipOk(5, 300000);
  ShipOk(5, 400000);
  ShipOk(6, 8192);
  EXPECT_TRUE(writer_.has_replaceable());
  ASSERT_TRUE(writer_.RemoveReplaced().ok());
  EXPECT_EQ(Pieces().size(), 3U);  // the whole one is not there yet
  WalRepositoryTest::ShipOk(NameOf(1, 5), Segment(5));
  ASSERT_TRUE(writer_.RemoveReplaced().ok());
  EXPECT_EQ(Pieces(), std::vector<std::string>{Piece(6, 0, 8192)});
  EXPECT_FALSE(writer_.has_replaceable());
}

// A timeline that ended has no whole last segment, ever.
TEST_F(TailWriterTest, PiecesWhoseWholeSegmentNeverComesStayAndAreNotAskedForForEver) {
  PutPiece(Segment(4), 4, 0, 5000);
  ShipOk(5, 100);
  for (int look = 0; look < 1000 && writer_.has_replaceable(); look++) {
    ASSERT_TRUE(writer_.RemoveReplaced().ok());
  }
  EXPECT_FALSE(writer_.has_replaceable());
  EXPECT_EQ(Pieces(), (std::vector<std::string>{Piece(4, 0, 5000), Piece(5, 0, 100)}));
}

// -- what was there before -----------------------------------------------------------------------

TEST_F(TailWriterTest, GoesOnWhereAnotherWriterEnded) {
  PutPiece(Segment(5), 5, 0, 300000);
  PutPiece(Segment(5), 5, 300000, 400000);
  Result<ShipResult> result = Ship(5, 420000);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->raw_bytes, 20000U);
  EXPECT_EQ(Pieces(), (std::vector<std::string>{Piece(5, 0, 300000), Piece(5, 300000, 400000),
                                                Piece(5, 400000, 420000)}));
  ExpectReadable(Segment(5), 5, 420000);
}

TEST_F(TailWriterTest, WhatOthersCoverIsRemovedAndHolesAreFilled) {
  PutPiece(Segment(5), 5, 0, 100000);
  PutPiece(Segment(5), 5, 0, 200000);       // an old complete one
  PutPiece(Segment(5), 5, 150000, 250000);  // overlaps
  PutPiece(Segment(5), 5, 160000, 180000);  // within another
  PutPiece(Segment(5), 5, 600000, 700000);  // behind a hole
  ShipOk(5, 700000);
  EXPECT_EQ(Pieces(), std::vector<std::string>{Piece(5, 0, 700000)});
  ExpectReadable(Segment(5), 5, 700000);
}

TEST_F(TailWriterTest, OtherContentIsRefusedAndLeftAlone) {
  const Bytes other = Wal(1, 5, 1, 2000);
  PutPiece(other, 5, 0, 300000);
  const Status status = Ship(5, 400000).status();
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_NE(status.detail().find("SHA-256"), std::string::npos);
  EXPECT_EQ(Ship(5, 400000).status().code(), Code::kAlreadyExists);  // and again
  EXPECT_EQ(Pieces(), std::vector<std::string>{Piece(5, 0, 300000)});
  ExpectReadable(other, 5, 300000);
}

// A standby that archives is behind its primary: what reaches farther cannot be compared yet.
TEST_F(TailWriterTest, WhatIsAheadIsComparedWhenWeAreAsFar) {
  PutPiece(Segment(5), 5, 0, 300000);
  ShipOk(5, 200000);
  ExpectReadable(Segment(5), 5, 300000);
  ShipOk(5, 250000);
  ShipOk(5, 400000);
  ExpectReadable(Segment(5), 5, 400000);
  Restart();
  writer_ = TailWriter(repo_.get(), options_);
  PutPiece(Wal(1, 5, 1, 2000), 5, 100000, 300000);
  ShipOk(5, 200000);
  EXPECT_EQ(Ship(5, 400000).status().code(), Code::kAlreadyExists);
}

TEST_F(TailWriterTest, AFileThatBecameAnotherOneIsNotShipped) {
  // What is read is still the old file's: the name is taken away while the store is asked for what it has.
  class Renaming final : public CancelToken {
   public:
    explicit Renaming(std::string path) : path_(std::move(path)) {}
    bool IsCancelled() const noexcept override {
      std::rename(path_.c_str(), (path_ + ".recycled").c_str());
      return false;
    }

   private:
    std::string path_;
  } const renaming(directory_ / "open");
  options_.cancel = &renaming;
  const Status status = Tail({1, 5}, Segment(5), 300000).status();
  EXPECT_EQ(status.code(), Code::kNotReady) << status.ToString();
  EXPECT_TRUE(Pieces().empty());
}

// -- one shot --------------------------------------------------------------------------------------

TEST_F(TailTest, SaysWhereTheLastWholeRecordEnds) {
  Result<ShipResult> result = Tail({1, 5}, Segment(5), 300000);
  ASSERT_TRUE(result.ok());
  EXPECT_GT(result->last_end, SegmentStart(5, kSegmentSize) + 290000);
  EXPECT_LE(result->last_end, SegmentStart(5, kSegmentSize) + 300000);
  // The same in a piece that begins in the middle of a page and of a record.
  Result<ShipResult> next = Tail({1, 5}, Segment(5), 350003);
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next->raw_bytes, 50003U);
  EXPECT_GT(next->last_end, SegmentStart(5, kSegmentSize) + 340000);
  EXPECT_LE(next->last_end, SegmentStart(5, kSegmentSize) + 350003);
}

TEST_F(TailTest, TheSameAgainIsSuccessAndOtherBytesAreNot) {
  TailOk(5, Segment(5), 300000);
  EXPECT_TRUE(Tail({1, 5}, Segment(5), 300000)->was_there);
  EXPECT_TRUE(Tail({1, 5}, Segment(5), 200000).ok());
  EXPECT_EQ(Tail({1, 5}, Wal(1, 5, 1, 2000), 300000).status().code(), Code::kAlreadyExists);
  ExpectReadable(Segment(5), 5, 300000);
}

TEST_F(TailTest, LeftoversOfEarlierSegmentsGoAsWell) {
  const Bytes wal = Wal(1, 5, 3);
  TailOk(5, ByteView(wal).first(kSegmentSize), 300000);
  TailOk(6, ByteView(wal).subspan(kSegmentSize, kSegmentSize), 300000);
  ShipOk(NameOf(1, 5), ByteView(wal).first(kSegmentSize));
  TailOk(7, ByteView(wal).subspan(2 * kSegmentSize), 8192);
  EXPECT_EQ(Pieces(), (std::vector<std::string>{Piece(6, 0, 300000), Piece(7, 0, 8192)}));
}

TEST_F(TailTest, ForeignWalIsRefused) {
  options_.root.system_identifier++;
  EXPECT_EQ(Tail({1, 5}, Segment(5), 300000).status().code(), Code::kForeign);
  options_.root = root_;
  EXPECT_EQ(Tail({1, 4}, Segment(5), 300000).status().code(), Code::kForeign);
  EXPECT_EQ(Tail({1, 6}, Segment(5), 300000).status().code(), Code::kCorrupt);
  EXPECT_TRUE(Objects().empty());
}

// As a recycled file looks that is read too late: the beginning is still ours, then another segment's pages follow.
TEST_F(TailTest, PagesOfAnotherPlaceInTheMiddleAreRefused) {
  Bytes bytes = Segment(5);
  TailOk(5, bytes, 300000);
  std::copy_n(Segment(7).begin() + 40 * 8192, 8192, bytes.begin() + 40 * 8192);
  EXPECT_EQ(Tail({1, 5}, bytes, 500000).status().code(), Code::kForeign);
  std::copy_n(Segment(4).begin() + 40 * 8192, 8192, bytes.begin() + 40 * 8192);
  EXPECT_EQ(Tail({1, 5}, bytes, 500000).status().code(), Code::kCorrupt);
  EXPECT_EQ(Pieces(), std::vector<std::string>{Piece(5, 0, 300000)});
}

TEST_F(TailTest, ImpossibleSizesAreRefused) {
  EXPECT_EQ(Tail({1, 5}, Segment(5), 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Tail({1, 5}, Segment(5), kSegmentSize + 1).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Tail({1, 5}, ByteView(Segment(5)).first(1000), 1001).status().code(), Code::kCorrupt);
  EXPECT_TRUE(Objects().empty());
}

// The server after a crash: a record was begun and never ended, another one stands in the place of its rest.
TEST_F(TailTest, ARecordThatACrashCutOffIsNoEnd) {
  wal::WalBuilder builder(root_, 1, SegmentStart(5, kSegmentSize));
  builder.Commit(700, {1}).FillTo(SegmentStart(5, kSegmentSize) + (16384 - 64));
  wal::WalRecord record;
  record.resource_manager = 21;  // a logical message, longer than its page
  record.main_data.assign(5000, 'x');
  builder.BreakOff(record).Commit(701, {2}).Filler(40000).Commit(702, {3});
  const auto end = static_cast<std::uint32_t>(builder.last_end() - SegmentStart(5, kSegmentSize));
  const Bytes bytes = builder.Segment(0);
  TailOk(5, bytes, 16384);
  TailOk(5, bytes, end);
  const Result<wal::SegmentIndex> index = Reader().ReadIndex({1, 5});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->events.size(), 3U);
}

// At every moment what OK was said for can be read, with a writer that is kept and one that comes anew.
TEST_F(TailTest, DyingAtAnyStepKeepsWhatWasShipped) {
  const Bytes wal = FastWal(5);
  options_.compression_level = 1;
  for (const auto way : {FaultStore::kDieBefore, FaultStore::kDieAfter, FaultStore::kFailOnce}) {
    bool is_finished = false;
    for (int at = 0; !is_finished; at++) {
      ASSERT_LT(at, 1000);
      Restart();
      TailOk(5, wal, 100000);
      TailOk(5, wal, 120000);
      MemoryStore inner(objects_);
      auto store = std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at + 1});
      FaultStore* const counter = store.get();
      const std::unique_ptr<Repository> repo = *Repository::Open(std::move(store), false);
      TailWriter writer(repo.get(), options_);
      std::uint32_t promised = 120000;
      for (const std::uint32_t flushed : {130000U, 300000U, 310000U}) {
        promised = writer.Ship(Write("open", wal), {1, 5}, flushed).ok() ? flushed : promised;
        EXPECT_TRUE(writer.RemoveTakenIn().ok());
      }
      is_finished = counter->operations() <= at + 1;
      Result<Bytes> read = Reader().ReadSegment({1, 5});
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_TRUE(std::equal(wal.begin(), wal.begin() + static_cast<std::ptrdiff_t>(promised),
                             read->begin()));
      TailOk(5, wal, kSegmentSize - 1);
      EXPECT_EQ(Objects(), std::vector<std::string>{Piece(5, 0, kSegmentSize - 1)});
    }
  }
}

}  // namespace

}  // namespace pitr
