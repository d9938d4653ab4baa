#include <map>
#include <utility>

#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/wal_archive.h"
#include "unit/support/fault_store.h"
#include "unit/support/wal_repository.h"

namespace pitr {

namespace {

// The lines: main (timeline 1), dev forked from it in segment 7, test forked from dev in segment 9; both on timelines
// of their own, and main went on to a timeline 2 as well.
class WalReaderTest : public WalRepositoryTest {
 protected:
  WalReaderTest() {
    main_.id = "br-test-main-1";
    main_.name = "main";
    dev_.id = "br-test-dev-2";
    dev_.name = "dev";
    dev_.ancestor = main_.id;
    dev_.fork_lsn = SegmentStart(7, kSegmentSize) + 5000;
    dev_.fork_timeline = 1;
    test_.id = "br-test-test-3";
    test_.name = "test";
    test_.ancestor = dev_.id;
    test_.fork_lsn = SegmentStart(9, kSegmentSize) + 5000;
    test_.fork_timeline = 2;
    main_.root = dev_.root = test_.root = root_;
  }

  WalReader Reader() { return WalReader(repo_.get(), {test_, dev_, main_}); }
  WalReader MainReader() { return WalReader(repo_.get(), {main_}); }
  // Of timeline 1.
  ByteView Segment(std::uint64_t number) const {
    static std::map<std::uint64_t, Bytes>* const made = new std::map<std::uint64_t, Bytes>;
    Bytes& bytes = (*made)[number];
    if (bytes.empty()) {
      bytes = Wal(1, number, 1);
    }
    return bytes;
  }
  Bytes OnTimeline(TimelineId timeline, std::uint64_t number) const {
    return Wal(timeline, number, 1);
  }
  void Put(const Branch& branch, TimelineId timeline, std::uint64_t number,
           const std::string& suffix = "") {
    options_.branch = branch.id;
    const Bytes bytes = timeline == 1 ? Bytes(Segment(number).begin(), Segment(number).end())
                                      : OnTimeline(timeline, number);
    ShipOk(NameOf(timeline, number) + suffix, bytes);
  }
  // A piece by hand, of any place.
  void PutPiece(const Branch& branch, std::uint64_t number, std::uint32_t begin,
                std::uint32_t end) {
    const std::string object =
        layout::TailObject(branch.id, {{1, number}, begin, end}, kSegmentSize);
    const Status status = WriteEnvelope(repo_->store(), object, ObjectKind::kWalPart, 1,
                                        Segment(number).subspan(begin, end - begin));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  // What ReadSegment should give when `size` bytes are there.
  Bytes Expected(std::uint64_t number, std::size_t size) const {
    Bytes bytes(Segment(number).begin(), Segment(number).end());
    return Cut(bytes, size);
  }
  bool Has(const WalReader& reader, TimelineId timeline, std::uint64_t number) {
    Result<WalReader::Found> found = reader.FindSegment({timeline, number});
    EXPECT_TRUE(found.ok() || found.status().code() == Code::kNotFound)
        << found.status().ToString();
    return found.ok();
  }

  Branch main_, dev_, test_;
};

TEST_F(WalReaderTest, ASegmentIsFoundInTheLineThatHasIt) {
  Put(main_, 1, 5);
  Put(dev_, 2, 8);
  Put(test_, 3, 9);
  EXPECT_EQ(Reader().FindSegment({1, 5})->branch, main_.id);
  EXPECT_EQ(Reader().FindSegment({2, 8})->branch, dev_.id);
  EXPECT_EQ(Reader().FindSegment({3, 9})->branch, test_.id);
  EXPECT_EQ(*Reader().ReadSegment({1, 5}), Expected(5, kSegmentSize));
  EXPECT_EQ(*Reader().ReadSegment({2, 8}), OnTimeline(2, 8));
  EXPECT_FALSE(Has(MainReader(), 2, 8));
}

TEST_F(WalReaderTest, WhatIsNowhereIsNotFoundNamingSegmentAndBranch) {
  const Status status = Reader().FindSegment({1, 5}).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_NE(status.message().find(NameOf(1, 5)), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("\"test\""), std::string::npos) << status.message();
  EXPECT_EQ(Reader().ReadSegment({1, 5}).status().code(), Code::kNotFound);
  EXPECT_EQ(Reader().ReadIndex({1, 5}).status().code(), Code::kNotFound);
  EXPECT_EQ(Reader().ReadHistory(2).status().code(), Code::kNotFound);
}

TEST_F(WalReaderTest, AnAncestorsSegmentsCountUpToTheFork) {
  for (const std::uint64_t number : {6U, 7U, 8U}) {
    Put(main_, 1, number);
  }
  EXPECT_TRUE(Has(Reader(), 1, 6));
  EXPECT_TRUE(Has(Reader(), 1, 7));  // begins before the fork
  EXPECT_FALSE(Has(Reader(), 1, 8));
  EXPECT_TRUE(Has(MainReader(), 1, 8));
  // At a border exactly: the segment that begins at the fork holds nothing of the ancestor's.
  dev_.fork_lsn = SegmentStart(7, kSegmentSize);
  EXPECT_TRUE(Has(Reader(), 1, 6));
  EXPECT_FALSE(Has(Reader(), 1, 7));
}

// The nearest fork on the way limits all lines behind it.
TEST_F(WalReaderTest, AForkBeforeTheAncestorsOwnForkLimitsBoth) {
  test_.fork_lsn = SegmentStart(5, kSegmentSize) + 100;
  for (const std::uint64_t number : {5U, 6U}) {
    Put(main_, 1, number);
  }
  EXPECT_TRUE(Has(Reader(), 1, 5));
  EXPECT_FALSE(Has(Reader(), 1, 6));
}

// main was promoted after dev had left it: its timeline 2 is another one than dev's, although its first segment
// begins before the fork.
TEST_F(WalReaderTest, AnAncestorsLaterTimelinesDoNotCount) {
  Put(main_, 2, 7);
  options_.branch = main_.id;
  ShipOk("00000002.history", AsBytes("1\t0/700500\tmain was promoted\n"));
  EXPECT_FALSE(Has(Reader(), 2, 7));
  EXPECT_TRUE(Has(MainReader(), 2, 7));
  EXPECT_EQ(Reader().ReadHistory(2).status().code(), Code::kNotFound);
  EXPECT_EQ(*Reader().Timelines(), std::vector<TimelineId>());
  EXPECT_TRUE(Reader().Segments(2)->empty());
  options_.branch = dev_.id;
  ShipOk("00000002.history", AsBytes("1\t0/701388\tbranch dev\n"));
  EXPECT_EQ(*Reader().ReadHistory(2), "1\t0/701388\tbranch dev\n");
  EXPECT_EQ(*MainReader().ReadHistory(2), "1\t0/700500\tmain was promoted\n");
}

TEST_F(WalReaderTest, AWholeSegmentWinsOverPartialAndPiecesOfNearerLines) {
  PutPiece(test_, 5, 0, 300000);
  EXPECT_TRUE(Reader().FindSegment({1, 5})->from_tail);
  EXPECT_EQ(*Reader().ReadSegment({1, 5}), Expected(5, 300000));
  Put(dev_, 1, 5, ".partial");
  EXPECT_FALSE(Reader().FindSegment({1, 5})->from_tail);
  EXPECT_TRUE(Reader().FindSegment({1, 5})->is_partial);
  EXPECT_EQ(Reader().FindSegment({1, 5})->branch, dev_.id);
  Put(main_, 1, 5);
  EXPECT_FALSE(Reader().FindSegment({1, 5})->is_partial);
  EXPECT_EQ(Reader().FindSegment({1, 5})->branch, main_.id);
}

TEST_F(WalReaderTest, APartialIsZeroFilledBehindItsEnd) {
  options_.branch = main_.id;
  ShipOk(NameOf(1, 5) + ".partial", Segment(5).first(300000));
  EXPECT_EQ(*Reader().ReadSegment({1, 5}), Expected(5, 300000));
}

// -- pieces --------------------------------------------------------------------------------------

TEST_F(WalReaderTest, PiecesAreJoinedFromTheStartOfTheSegment) {
  struct {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pieces;
    std::size_t expected;  // bytes; 0 = not found
  } const cases[] = {
      {{{0, 100}}, 100},
      {{{0, 100}, {100, 8192}, {8192, 300000}}, 300000},
      {{{0, 100}, {0, 5000}, {0, 300}}, 5000},
      {{{0, 100}, {200, 300}}, 100},
      {{{100, 300}}, 0},
      {{{0, 100}, {50, 300}}, 300},                   // overlapping
      {{{0, 1000}, {100, 200}, {1000, 1001}}, 1001},  // one inside another
      {{{0, 10}, {10, 20}, {10, 1000}, {20, 500}}, 1000},
      {{{0, 10}, {10, kSegmentSize}}, kSegmentSize},
  };
  for (const auto& one : cases) {
    Restart();
    for (const auto& [begin, end] : one.pieces) {
      PutPiece(main_, 5, begin, end);
    }
    PutPiece(main_, 4, 0, 777);  // neighbours
    PutPiece(main_, 6, 0, 777);
    Result<Bytes> read = Reader().ReadSegment({1, 5});
    if (one.expected == 0) {
      EXPECT_EQ(read.status().code(), Code::kNotFound);
      continue;
    }
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, Expected(5, one.expected));
    EXPECT_TRUE(Reader().FindSegment({1, 5})->from_tail);
  }
}

TEST_F(WalReaderTest, ManyPiecesAreFoundAcrossPagesOfTheListing) {
  constexpr std::uint32_t kStep = 100;
  for (std::uint32_t begin = 0; begin < 250 * kStep; begin += kStep) {
    PutPiece(main_, 5, begin, begin + kStep);
  }
  EXPECT_EQ(Reader().FindSegment({1, 5})->pieces.size(), 250U);
  EXPECT_EQ(*Reader().ReadSegment({1, 5}), Expected(5, 250 * kStep));
}

TEST_F(WalReaderTest, APieceThatDoesNotHoldWhatItsNameSaysIsCorrupt) {
  const std::string object = layout::TailObject(main_.id, {{1, 5}, 0, 200}, kSegmentSize);
  ASSERT_TRUE(
      WriteEnvelope(repo_->store(), object, ObjectKind::kWalPart, 0, Segment(5).first(100)).ok());
  EXPECT_EQ(Reader().ReadSegment({1, 5}).status().code(), Code::kCorrupt);
}

// A longer piece is published and the shorter removed between the look and the read.
TEST_F(WalReaderTest, PiecesReplacedWhileTheyAreReadAreReadAgain) {
  class Moving final : public ObjectStore {
   public:
    Moving(std::shared_ptr<MemoryObjects> objects, std::function<void()> before_get)
        : inner_(std::move(objects)), before_get_(std::move(before_get)) {}
    Status Put(const std::string& name, ByteView bytes) override { return inner_.Put(name, bytes); }
    Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) override {
      return inner_.Create(name);
    }
    Result<Bytes> Get(const std::string& name, std::uint64_t size) override {
      if (before_get_) {
        std::exchange(before_get_, nullptr)();
      }
      return inner_.Get(name, size);
    }
    Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                           std::uint64_t size) override {
      return inner_.GetRange(name, offset, size);
    }
    Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) override {
      return inner_.GetSuffix(name, size);
    }
    Result<ObjectStat> Stat(const std::string& name) override { return inner_.Stat(name); }
    Result<std::vector<ObjectStat>> List(const std::string& prefix, const std::string& after,
                                         std::size_t limit) override {
      return inner_.List(prefix, after, limit);
    }
    Result<std::vector<std::string>> ListParts(const std::string& prefix) override {
      return inner_.ListParts(prefix);
    }
    Status Remove(const std::string& name) override { return inner_.Remove(name); }
    Status CollectAbandoned(std::int64_t) override { return Status::Ok(); }
    std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
    std::string Describe() const override { return "moving"; }

    std::function<void()>& before_get() { return before_get_; }

   private:
    MemoryStore inner_;
    std::function<void()> before_get_;
  };
  options_.branch = main_.id;
  ASSERT_TRUE(Tail({1, 5}, Segment(5), 100000).ok());
  auto store = std::make_unique<Moving>(objects_, nullptr);
  Moving* const moving = store.get();
  const std::unique_ptr<Repository> repo = *Repository::Open(std::move(store), false);
  moving->before_get() = [&] { EXPECT_TRUE(Tail({1, 5}, Segment(5), 200000).ok()); };
  const WalReader reader(repo.get(), {main_});
  Result<Bytes> read = reader.ReadSegment({1, 5});
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, Expected(5, 200000));
}

// -- indexes -------------------------------------------------------------------------------------

TEST_F(WalReaderTest, TheIndexOfWhatIsNotWholeIsMadeFromItsBytes) {
  options_.branch = main_.id;
  ASSERT_TRUE(Tail({1, 5}, Segment(5), 300000).ok());
  Result<wal::SegmentIndex> from_tail = Reader().ReadIndex({1, 5});
  ASSERT_TRUE(from_tail.ok()) << from_tail.status().ToString();
  EXPECT_TRUE(from_tail->partial);
  Put(main_, 1, 5);
  Result<wal::SegmentIndex> whole = Reader().ReadIndex({1, 5});
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_FALSE(whole->partial);
  EXPECT_EQ(from_tail->segment, whole->segment);
  EXPECT_EQ(from_tail->first_start, whole->first_start);
  EXPECT_LT(from_tail->last_end, whole->last_end);
  ASSERT_GT(from_tail->events.size(), 10U);
  EXPECT_LT(from_tail->events.size(), whole->events.size());
  for (std::size_t i = 0; i < from_tail->events.size(); i++) {
    EXPECT_EQ(from_tail->events[i].start, whole->events[i].start);
  }
}

TEST_F(WalReaderTest, AnIndexOfAnotherSegmentIsCorrupt) {
  Put(main_, 1, 5);
  const std::string prefix = layout::WalPrefix(main_.id, 1);
  MemoryStore store = Store();
  ASSERT_TRUE(store.Put(prefix + NameOf(1, 6), store.Tamper(prefix + NameOf(1, 5))).ok());
  EXPECT_EQ(Reader().ReadIndex({1, 6}).status().code(), Code::kCorrupt);
}

// -- what there is -------------------------------------------------------------------------------

TEST_F(WalReaderTest, TimelinesAreThoseOfSegmentsPiecesAndHistories) {
  Put(main_, 1, 5);
  PutPiece(main_, 6, 0, 100);
  Put(dev_, 2, 8);
  options_.branch = test_.id;
  ShipOk("00000003.history", AsBytes("2\t0/900000\tx\n"));
  EXPECT_EQ(*Reader().Timelines(), (std::vector<TimelineId>{1, 2, 3}));
  EXPECT_EQ(*MainReader().Timelines(), std::vector<TimelineId>{1});
  Restart();
  PutPiece(dev_, 5, 0, 100);
  EXPECT_EQ(*Reader().Timelines(), std::vector<TimelineId>{1});
}

TEST_F(WalReaderTest, SegmentsAgreeWithFindSegment) {
  Put(main_, 1, 4);
  PutPiece(main_, 4, 0, 100);
  PutPiece(dev_, 5, 0, 100);
  PutPiece(dev_, 5, 100, 200);
  PutPiece(dev_, 6, 50, 100);  // no beginning
  Put(main_, 1, 6, ".partial");
  Put(dev_, 1, 7, ".partial");
  Put(main_, 1, 7);
  Put(main_, 1, 8);  // behind the fork
  Result<std::vector<WalReader::Held>> held = Reader().Segments(1);
  ASSERT_TRUE(held.ok()) << held.status().ToString();
  struct {
    std::uint64_t number;
    BranchId branch;
    bool tail_only;
  } const expected[] = {
      {4, main_.id, false}, {5, dev_.id, true}, {6, main_.id, true}, {7, main_.id, false}};
  ASSERT_EQ(held->size(), std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); i++) {
    const WalReader::Held& one = (*held)[i];
    EXPECT_EQ(one.segment, (SegmentId{1, expected[i].number}));
    EXPECT_EQ(one.branch, expected[i].branch);
    EXPECT_EQ(one.tail_only, expected[i].tail_only);
    EXPECT_GT(one.stored_bytes, 128U);
    EXPECT_EQ(Reader().FindSegment(one.segment)->branch, one.branch);
  }
  EXPECT_FALSE(Has(Reader(), 1, 8));
}

// "Not found" would end a recovery early: no error may look like it.
TEST_F(WalReaderTest, NoStoreErrorLooksLikeNotFound) {
  PutPiece(main_, 5, 0, 100);
  bool is_finished = false;
  for (int at = 0; !is_finished; at++) {
    ASSERT_LT(at, 100);
    MemoryStore inner(objects_);
    auto store = std::make_unique<FaultStore>(
        &inner, FaultStore::Plan{FaultStore::kFailOnce, at + 1, Code::kUnavailable});
    FaultStore* const counter = store.get();
    const std::unique_ptr<Repository> repo = *Repository::Open(std::move(store), false);
    const WalReader reader(repo.get(), {test_, dev_, main_});
    const Status segment = reader.ReadSegment({1, 5}).status();
    const Status absent = reader.ReadSegment({1, 6}).status();
    const Status history = reader.ReadHistory(2).status();
    is_finished = counter->operations() <= at + 1;
    const int failed = (segment.code() == Code::kUnavailable) +
                       (absent.code() == Code::kUnavailable) +
                       (history.code() == Code::kUnavailable);
    EXPECT_EQ(failed, is_finished ? 0 : 1) << at;
  }
}

}  // namespace

}  // namespace pitr
