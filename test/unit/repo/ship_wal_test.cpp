#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/hash.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/wal_archive.h"
#include "unit/support/fault_store.h"
#include "unit/support/wal_repository.h"

namespace pitr {

namespace {

const std::string kPrefix = "branches/br-test-wal-1/";
const std::string kHistory = "1\t0/3000148\tno recovery target specified\n";
const std::string kLabel = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n";

class ShipWalFileTest : public WalRepositoryTest {
 protected:
  WalReader Reader() {
    Branch branch;
    branch.id = options_.branch;
    branch.name = "main";
    branch.root = root_;
    return WalReader(repo_.get(), {branch});
  }
};

TEST_F(ShipWalFileTest, ASegmentIsOneObjectWithItsIndex) {
  const Bytes wal = Wal(1, 5, 1);
  Result<ShipResult> result = Ship(NameOf(1, 5), wal);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_FALSE(result->was_there);
  EXPECT_EQ(result->raw_bytes, kSegmentSize);
  EXPECT_LT(result->stored_bytes, kSegmentSize / 2);
  EXPECT_EQ(Objects(), std::vector<std::string>{kPrefix + "wal/00000001/" + NameOf(1, 5)});
  EXPECT_EQ(result->stored_bytes, Store().Stat(Objects()[0])->size);
  EXPECT_EQ(*Reader().ReadSegment({1, 5}), wal);
  Result<wal::SegmentIndex> index = Reader().ReadIndex({1, 5});
  ASSERT_TRUE(index.ok()) << index.status().ToString();
  EXPECT_FALSE(index->partial);
  EXPECT_EQ(index->last_end, result->last_end);
  EXPECT_GT(index->events.size(), 1000U);
}

TEST_F(ShipWalFileTest, EveryCompressionLevelGivesTheSameBytesBack) {
  const Bytes wal = Wal(1, 5, 1);
  for (const int level : {0, 1, 3, 9}) {
    Restart();
    options_.compression_level = level;
    ShipOk(NameOf(1, 5), wal);
    EXPECT_EQ(*Reader().ReadSegment({1, 5}), wal) << level;
  }
}

TEST_F(ShipWalFileTest, TheSameAgainIsSuccess) {
  const Bytes wal = Wal(1, 5, 1);
  ShipOk(NameOf(1, 5), wal);
  const Bytes stored = Store().Tamper(Objects()[0]);
  options_.compression_level = 1;  // other stored bytes, same content
  Result<ShipResult> again = Ship(NameOf(1, 5), wal);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(again->was_there);
  EXPECT_EQ(again->stored_bytes, stored.size());
  EXPECT_EQ(again->raw_bytes, kSegmentSize);
  EXPECT_TRUE(again->last_end.valid());
  EXPECT_EQ(Store().Tamper(Objects()[0]), stored);
}

TEST_F(ShipWalFileTest, OtherContentUnderTheSameNameIsRefusedNamingBoth) {
  const Bytes first = Wal(1, 5, 1, 1000), second = Wal(1, 5, 1, 2000);
  ShipOk(NameOf(1, 5), first);
  const Status status = Ship(NameOf(1, 5), second).status();
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_NE(status.message().find(Objects()[0]), std::string::npos) << status.message();
  EXPECT_NE(status.message().find(directory_ / NameOf(1, 5)), std::string::npos);
  EXPECT_NE(status.detail().find(ToHex(Sha256(first))), std::string::npos) << status.detail();
  EXPECT_NE(status.detail().find(ToHex(Sha256(second))), std::string::npos);
  EXPECT_EQ(*Reader().ReadSegment({1, 5}), first);
}

TEST_F(ShipWalFileTest, ADamagedObjectInTheWayIsCorruptAndNotAlreadyThere) {
  const Bytes wal = Wal(1, 5, 1);
  ShipOk(NameOf(1, 5), wal);
  Store().Tamper(Objects()[0])[200] ^= 1;
  EXPECT_EQ(Ship(NameOf(1, 5), wal).status().code(), Code::kCorrupt);
}

TEST_F(ShipWalFileTest, TheOtherFilesOfTheServerGoWhereTheyBelong) {
  const Bytes wal = Wal(1, 5, 1);
  const struct {
    std::string name, object;
    Bytes bytes;
  } files[] = {
      {"00000002.history", "wal/history/00000002.history", {kHistory.begin(), kHistory.end()}},
      {NameOf(1, 5) + ".00000028.backup",
       "wal/00000001/" + NameOf(1, 5) + ".00000028.backup",
       {kLabel.begin(), kLabel.end()}},
      {NameOf(1, 5) + ".partial", "wal/00000001/" + NameOf(1, 5) + ".partial", Cut(wal, 300000)},
  };
  for (const auto& file : files) {
    Restart();
    Result<ShipResult> result = Ship(file.name, file.bytes);
    ASSERT_TRUE(result.ok()) << file.name << ": " << result.status().ToString();
    EXPECT_EQ(result->raw_bytes, file.bytes.size());
    EXPECT_EQ(Objects(), std::vector<std::string>{kPrefix + file.object});
    EXPECT_TRUE(Ship(file.name, file.bytes)->was_there);
    Bytes other = file.bytes;
    other.back() ^= 3;
    EXPECT_EQ(Ship(file.name, other).status().code(), Code::kAlreadyExists) << file.name;
  }
}

TEST_F(ShipWalFileTest, OtherNamesAreInvalidArgument) {
  for (const std::string name :
       {"", "postgresql.conf", "00000001", "00000001000000000000000a", "../../etc/passwd",
        "000000010000000000000005.gz", "0000000100000000FFFFFFFF"}) {
    EXPECT_EQ(ShipWalFile(repo_.get(), options_, "/nowhere", name).status().code(),
              Code::kInvalidArgument)
        << name;
  }
}

TEST_F(ShipWalFileTest, AFileThatIsNotThereIsNotFound) {
  EXPECT_EQ(ShipWalFile(repo_.get(), options_, directory_ / "x", NameOf(1, 5)).status().code(),
            Code::kNotFound);
  EXPECT_TRUE(Objects().empty());
}

// internals 28, DESIGN.md 8: foreign WAL, and old content of a recycled file.
TEST_F(ShipWalFileTest, WalOfAnotherServerOrPlaceIsForeign) {
  const Bytes wal = Wal(2, 5, 1);
  struct {
    const char* what;
    RootIdentity root;
    std::string name;
  } const cases[] = {
      {"system identifier", {root_.system_identifier + 1, 15, kSegmentSize}, NameOf(2, 5)},
      {"major", {root_.system_identifier, 17, kSegmentSize}, NameOf(2, 5)},
      {"address", root_, NameOf(2, 4)},
      {"timeline", root_, NameOf(1, 5)},
  };
  for (const auto& one : cases) {
    options_.root = one.root;
    const Status status = Ship(one.name, wal).status();
    EXPECT_EQ(status.code(), Code::kForeign) << one.what << ": " << status.ToString();
    EXPECT_TRUE(Objects().empty()) << one.what;
  }
}

TEST_F(ShipWalFileTest, OldContentOfARecycledFileIsRefused) {
  const Bytes wal = Wal(1, 5, 1);
  for (const std::string suffix : {"", ".partial"}) {
    EXPECT_EQ(Ship(NameOf(1, 6) + suffix, wal).status().code(), Code::kCorrupt) << suffix;
  }
  EXPECT_TRUE(Objects().empty());
}

TEST_F(ShipWalFileTest, ASegmentOfAnotherSizeIsCorrupt) {
  const Bytes wal = Wal(1, 5, 1);
  EXPECT_EQ(Ship(NameOf(1, 5), ByteView(wal).first(kSegmentSize - 1)).status().code(),
            Code::kCorrupt);
  EXPECT_EQ(Ship(NameOf(1, 5), {}).status().code(), Code::kCorrupt);
  EXPECT_EQ(Ship(NameOf(1, 5), Wal(1, 5, 2)).status().code(), Code::kCorrupt);
  EXPECT_EQ(Ship(NameOf(1, 5) + ".partial", {}).status().code(), Code::kCorrupt);
  EXPECT_TRUE(Objects().empty());
}

TEST_F(ShipWalFileTest, ASegmentThatEndsEarlyIsCorruptButAPartialMay) {
  const Bytes wal = Cut(Wal(1, 5, 1), 300000);
  const Status status = Ship(NameOf(1, 5), wal).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find("ends early"), std::string::npos) << status.message();
  EXPECT_NE(status.detail().find("0/5"), std::string::npos) << status.detail();
  EXPECT_TRUE(Objects().empty());
  ShipOk(NameOf(1, 5) + ".partial", wal);
}

TEST_F(ShipWalFileTest, ASegmentMayEndInASwitch) {
  wal::WalBuilder builder(root_, 1, SegmentStart(5, kSegmentSize));
  builder.Commit(700, {1767225600000000}).Switch();
  ShipOk(NameOf(1, 5), builder.Segment(0));
}

TEST_F(ShipWalFileTest, ABrokenHistoryFileIsCorrupt) {
  EXPECT_EQ(Ship("00000002.history", AsBytes("garbage here\n")).status().code(), Code::kCorrupt);
  EXPECT_EQ(Ship("00000002.history", {}).status().code(), Code::kCorrupt);
  EXPECT_TRUE(Objects().empty());
}

TEST_F(ShipWalFileTest, NothingIsPublishedWhenItIsNotReadyAnyMore) {
  int asked = 0;
  options_.still_ready = [&] {
    asked++;
    EXPECT_TRUE(Objects().empty());
    return false;
  };
  EXPECT_EQ(Ship(NameOf(1, 5), Wal(1, 5, 1)).status().code(), Code::kNotReady);
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(Objects().empty());
}

TEST_F(ShipWalFileTest, CanBeCancelled) {
  class Cancelled final : public CancelToken {
   public:
    bool IsCancelled() const noexcept override { return true; }
  } cancelled;
  options_.cancel = &cancelled;
  EXPECT_EQ(Ship(NameOf(1, 5), Wal(1, 5, 1)).status().code(), Code::kCancelled);
  EXPECT_TRUE(Objects().empty());
}

// README.md 4: after a death at any operation the object is there whole or not at all, OK was said only when it is
// there, and shipping again gets through.
TEST_F(ShipWalFileTest, DyingAtAnyStepLeavesAllOrNothing) {
  const Bytes wal = FastWal(5);
  const struct {
    std::string name;
    Bytes bytes;
  } files[] = {{NameOf(1, 5), wal},
               {NameOf(1, 5) + ".partial", Cut(wal, 300000)},
               {"00000002.history", {kHistory.begin(), kHistory.end()}}};
  options_.compression_level = 1;
  for (const auto& file : files) {
    Write(file.name, file.bytes);
    for (const bool was_there : {false, true}) {
      for (const auto way :
           {FaultStore::kDieBefore, FaultStore::kDieAfter, FaultStore::kFailOnce}) {
        bool is_finished = false;
        for (int at = 0; !is_finished; at++) {
          ASSERT_LT(at, 1000);
          Restart();
          if (was_there) {
            ASSERT_TRUE(ShipWalFile(repo_.get(), options_, directory_ / file.name, file.name).ok());
          }
          MemoryStore inner(objects_);
          auto store = std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at + 1});
          FaultStore* const counter = store.get();
          const std::unique_ptr<Repository> repo = *Repository::Open(std::move(store), false);
          const Result<ShipResult> result =
              ShipWalFile(repo.get(), options_, directory_ / file.name, file.name);
          is_finished = counter->operations() <= at + 1;
          EXPECT_LE(Objects().size(), 1U);
          if (result.ok()) {
            EXPECT_EQ(Objects().size(), 1U) << "said OK without having stored it";
          }
          const Result<ShipResult> again =
              ShipWalFile(repo_.get(), options_, directory_ / file.name, file.name);
          ASSERT_TRUE(again.ok()) << again.status().ToString();
          ASSERT_EQ(Objects().size(), 1U);
          if (file.name == NameOf(1, 5)) {
            EXPECT_EQ(*Reader().ReadSegment({1, 5}), wal);
            EXPECT_TRUE(Reader().ReadIndex({1, 5}).ok());
          }
        }
      }
    }
  }
}

TEST_F(ShipWalFileTest, AStoreErrorKeepsItsCode) {
  MemoryStore inner(objects_);
  const std::unique_ptr<Repository> repo =
      *Repository::Open(std::make_unique<FaultStore>(
                            &inner, FaultStore::Plan{FaultStore::kDieBefore, 1, Code::kDiskFull}),
                        false);
  const std::string path = Write(NameOf(1, 5), Wal(1, 5, 1));
  EXPECT_EQ(ShipWalFile(repo.get(), options_, path, NameOf(1, 5)).status().code(), Code::kDiskFull);
}

#ifdef PITR_FAULTS
TEST_F(ShipWalFileTest, FaultPointsAreOnTheWay) {
  for (const std::string point : {"archive.segment.before_read", "archive.segment.before_publish",
                                  "archive.segment.after_publish"}) {
    Restart();
    const std::string armed = Write("faults", AsBytes(point + " error\n"));
    ::setenv("PITR_FAULT_FILE", armed.c_str(), 1);
    const Status status = Ship(NameOf(1, 5), Wal(1, 5, 1)).status();
    ::unsetenv("PITR_FAULT_FILE");
    EXPECT_EQ(status.code(), Code::kIo) << point;
    EXPECT_EQ(Objects().size(), point == "archive.segment.after_publish" ? 1U : 0U);
  }
}
#endif

}  // namespace

}  // namespace pitr
