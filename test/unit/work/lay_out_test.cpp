#include "core/work/lay_out.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "core/repo/layout.h"
#include "core/work/pack_reader.h"
#include "core/work/snapshot_copy.h"
#include "unit/support/fake_cluster.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class SetCancel final : public CancelToken {
 public:
  explicit SetCancel(int questions) : left_(questions) {}
  bool IsCancelled() const noexcept override { return left_-- <= 0; }

 private:
  mutable std::atomic<int> left_;
};

class SumProgress final : public Progress {
 public:
  void Phase(std::string_view) noexcept override {}
  void Total(std::uint64_t bytes) noexcept override { total = bytes; }
  void Done(std::uint64_t more_bytes) noexcept override { done += more_bytes; }
  std::atomic<std::uint64_t> total = 0, done = 0;
};

class LayOutTest : public ::testing::Test {
 protected:
  LayOutTest() : cluster_(dir_ / "data") {
    auto store = std::make_unique<MemoryStore>();
    store_ = store.get();
    repo_ = std::move(*Repository::Open(std::move(store), true));
    cluster_.Relation("base/5/16384", 100, 75);
    cluster_.Relation("base/5/16385", 300, 40);
    cluster_.Put("base/5/key", "secret");
    EXPECT_EQ(::chmod((cluster_.path() + "/base/5/key").c_str(), 0400), 0);
    EXPECT_EQ(::chmod((cluster_.path() + "/base/5/16385").c_str(), 0640), 0);
    EXPECT_EQ(::chmod((cluster_.path() + "/base/5").c_str(), 0750), 0);
    options_.directory = dir_ / "out";
  }

  void Copy() {
    SnapshotCopyOptions options;
    options.data_directory = cluster_.path();
    options.snapshot = "sn-1";
    options.pack_target = 200000;
    const Status status = CopySnapshot(repo_.get(), options, &manifest_, nullptr, nullptr);
    ASSERT_TRUE(status.ok()) << status.ToString();
    ASSERT_GT(manifest_.packs.size(), 1U);
  }

  Status LayOut(const CancelToken* cancel = nullptr) {
    return LayOutDirectory(repo_.get(), manifest_, options_, &progress_, cancel);
  }
  unsigned Mode(const std::string& name) {
    struct stat found = {};
    EXPECT_EQ(::lstat((options_.directory + "/" + name).c_str(), &found), 0) << name;
    return found.st_mode & 07777;
  }
  bool IsThere(const std::string& name) { return PathExists(options_.directory + "/" + name); }
  std::string Read(const std::string& name) {
    return FakeCluster::At(options_.directory).Read(name);
  }
  std::string PackOf(const Frame& frame) {
    return layout::PackObject(manifest_.packs[frame.pack].snapshot,
                              manifest_.packs[frame.pack].number);
  }

  TempDir dir_;
  FakeCluster cluster_;
  MemoryStore* store_;
  std::unique_ptr<Repository> repo_;
  Manifest manifest_;
  LayOutOptions options_;
  SumProgress progress_;
};

TEST_F(LayOutTest, ContentModesAndEmptyFoldersAreAsTheyWere) {
  Copy();
  const mode_t umask_before = ::umask(0077);  // modes must not depend on it
  for (const int workers : {1, 3}) {
    options_.directory = dir_ / ("out" + std::to_string(workers));
    options_.workers = workers;
    const Status status = LayOut();
    ASSERT_TRUE(status.ok()) << status.ToString();
    for (const ManifestFile& file : manifest_.files) {
      if (file.kind == FileKind::kDirectory) {
        EXPECT_TRUE(IsThere(file.path)) << file.path;
      } else {
        EXPECT_TRUE(Read(file.path) == cluster_.Read(file.path)) << file.path;
      }
    }
    EXPECT_EQ(Mode(""), 0700U);
    EXPECT_EQ(Mode("base/5"), 0750U);
    EXPECT_EQ(Mode("base/5/16384"), 0600U);
    EXPECT_EQ(Mode("base/5/16385"), 0640U);
    EXPECT_EQ(Mode("base/5/key"), 0400U);
    EXPECT_TRUE(IsThere("pg_wal/archive_status"));
    EXPECT_FALSE(IsThere("backup_label")) << "a stopped cluster has none";
  }
  ::umask(umask_before);
}

TEST_F(LayOutTest, ProgressIsWhatIsWritten) {
  Copy();
  ASSERT_TRUE(LayOut().ok());
  EXPECT_GT(progress_.total, 0U);
  EXPECT_EQ(progress_.done, progress_.total);
}

TEST_F(LayOutTest, TheWalFolderIsMadeWhateverTheManifestSays) {
  Copy();
  std::erase_if(manifest_.files,
                [](const ManifestFile& file) { return file.path.starts_with("pg_wal"); });
  ASSERT_TRUE(LayOut().ok());
  EXPECT_TRUE(IsThere("pg_wal/archive_status"));
}

TEST_F(LayOutTest, AnEmptyDirectoryIsTakenAndAFullOneRefused) {
  Copy();
  ASSERT_TRUE(MakeDirectories(options_.directory, 0755).ok());
  ASSERT_TRUE(LayOut().ok());
  EXPECT_EQ(Mode(""), 0700U);
  const Status status = LayOut();
  EXPECT_EQ(status.code(), Code::kInUse) << status.ToString();
}

// ---- tablespaces and labels ----

TEST_F(LayOutTest, TablespacesGetNewTargetsAndTheMapNamesThem) {
  cluster_.Tablespace("16400", dir_ / "space");
  Copy();
  manifest_.backup_label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n";
  manifest_.tablespace_map = "16400 " + (dir_ / "space") + "\n";
  const std::string target = dir_ / "new\\space";
  options_.tablespaces["pg_tblspc/16400"] = target;
  const Status status = LayOut();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(Read("backup_label"), manifest_.backup_label);
  EXPECT_EQ(Read("tablespace_map"), "16400 " + (dir_ / "new\\\\space") + "\n");
  EXPECT_EQ(FakeCluster::At(target).Read("PG_15_202209061/5/16401"),
            cluster_.Read("pg_tblspc/16400/PG_15_202209061/5/16401"));
  char link[1000] = {};
  ASSERT_GT(::readlink((options_.directory + "/pg_tblspc/16400").c_str(), link, sizeof link - 1),
            0);
  EXPECT_EQ(std::string(link), target);
  EXPECT_FALSE(PathExists(dir_ / "space/PG_15_202209061/5/x")) << "the source is not touched";
}

TEST_F(LayOutTest, ATablespaceWithoutATargetIsRefusedBeforeAnythingIsMade) {
  cluster_.Tablespace("16400", dir_ / "space");
  Copy();
  const Status status = LayOut();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("pg_tblspc/16400"), std::string::npos) << status.ToString();
  EXPECT_NE(status.detail().find(dir_ / "space"), std::string::npos);
  EXPECT_FALSE(PathExists(options_.directory));
  options_.tablespaces["pg_tblspc/16400"] = "relative";
  EXPECT_EQ(LayOut().code(), Code::kInvalidArgument);
}

TEST_F(LayOutTest, TwoTablespacesCannotShareATarget) {
  cluster_.Tablespace("16400", dir_ / "one");
  cluster_.Tablespace("16500", dir_ / "two");
  Copy();
  options_.tablespaces = {{"pg_tblspc/16400", dir_ / "new"}, {"16500", dir_ / "new"}};
  EXPECT_EQ(LayOut().code(), Code::kInvalidArgument);
  options_.tablespaces["16500"] = dir_ / "other";  // the number alone names it as well
  EXPECT_TRUE(LayOut().ok());
}

TEST_F(LayOutTest, ATargetThatHoldsSomethingIsRefused) {
  cluster_.Tablespace("16400", dir_ / "space");
  Copy();
  options_.tablespaces["pg_tblspc/16400"] = dir_ / "space";  // the live one
  EXPECT_EQ(LayOut().code(), Code::kInUse);
}

// ---- damage ----

TEST_F(LayOutTest, ADamagedByteInAnyFrameIsNamedAndNothingOfTheFrameIsWritten) {
  Copy();
  for (std::uint32_t i = 0; i < manifest_.frames.size(); i++) {
    const Frame& frame = manifest_.frames[i];
    Bytes& pack = store_->Tamper(PackOf(frame));
    std::uint8_t& byte = pack[frame.offset + frame.packed_size / 2];
    byte ^= 0x10;
    options_.directory = dir_ / ("out" + std::to_string(i));
    const Status status = LayOut();
    EXPECT_EQ(status.code(), Code::kCorrupt) << i;
    EXPECT_NE(status.message().find("frame " + std::to_string(i)), std::string::npos)
        << status.ToString();
    EXPECT_NE(status.message().find(PackOf(frame)), std::string::npos) << status.ToString();
    char expected[17];
    std::snprintf(expected, sizeof expected, "%016lx",
                  static_cast<unsigned long>(frame.plain_hash));
    EXPECT_NE(status.detail().find(expected), std::string::npos) << status.ToString();
    EXPECT_FALSE(IsThere("global/pg_control")) << "pg_control comes last";
    for (const ManifestFile& file : manifest_.files) {
      for (const Extent& extent : file.extents) {
        if (extent.frame == i && IsThere(file.path)) {
          const std::string written = Read(file.path).substr(extent.file_offset, extent.length);
          EXPECT_TRUE(written.find_first_not_of('\0') == std::string::npos) << file.path;
        }
      }
    }
    EXPECT_EQ(VerifySnapshot(repo_.get(), manifest_, 2, nullptr, nullptr).code(), Code::kCorrupt);
    byte ^= 0x10;
  }
  EXPECT_TRUE(VerifySnapshot(repo_.get(), manifest_, 2, nullptr, nullptr).ok());
}

TEST_F(LayOutTest, BothChecksumsAreNamedWhenTheBytesDiffer) {
  SnapshotCopyOptions copy;
  copy.data_directory = cluster_.path();
  copy.snapshot = "sn-1";
  copy.compression_level = 0;  // so that damage decompresses
  ASSERT_TRUE(CopySnapshot(repo_.get(), copy, &manifest_, nullptr, nullptr).ok());
  store_->Tamper(PackOf(manifest_.frames[0]))[manifest_.frames[0].offset] ^= 1;
  const Status status = VerifySnapshot(repo_.get(), manifest_, 1, nullptr, nullptr);
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.detail().find("Expected checksum "), std::string::npos) << status.ToString();
  EXPECT_NE(status.detail().find("found "), std::string::npos) << status.ToString();
}

TEST_F(LayOutTest, AMissingOrCutPackIsDamage) {
  Copy();
  const Frame& last = manifest_.frames.back();
  const std::string name = PackOf(last);
  Bytes& pack = store_->Tamper(name);
  const Bytes whole = pack;
  pack.resize(last.offset + last.packed_size - 1);
  Status status = VerifySnapshot(repo_.get(), manifest_, 2, nullptr, nullptr);
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find(name), std::string::npos) << status.ToString();
  ASSERT_TRUE(store_->Remove(name).ok());
  for (const bool verify : {true, false}) {
    status = verify ? VerifySnapshot(repo_.get(), manifest_, 2, nullptr, nullptr) : LayOut();
    EXPECT_EQ(status.code(), Code::kCorrupt);
    EXPECT_NE(status.message().find(name), std::string::npos) << status.ToString();
  }
}

TEST_F(LayOutTest, VerifyChecksTheHeadsOfPacksToo) {
  Copy();
  store_->Tamper(PackOf(manifest_.frames[0]))[9] ^= 1;
  EXPECT_EQ(VerifySnapshot(repo_.get(), manifest_, 1, nullptr, nullptr).code(), Code::kCorrupt);
}

// ---- reading ----

TEST_F(LayOutTest, FramesThatNobodyWantsAreNotHandedOut) {
  Copy();
  const std::vector<std::uint32_t> wanted = {
      static_cast<std::uint32_t>(manifest_.frames.size() - 1), 0, 2};
  std::mutex mutex;
  std::vector<std::uint32_t> got;
  const Status status = ReadFrames(repo_.get(), manifest_, wanted, 2, nullptr, nullptr,
                                   [&](int, std::uint32_t frame, ByteView plain) {
                                     const std::lock_guard<std::mutex> lock(mutex);
                                     EXPECT_EQ(plain.size(), manifest_.frames[frame].plain_size);
                                     got.push_back(frame);
                                     return Status::Ok();
                                   });
  ASSERT_TRUE(status.ok()) << status.ToString();
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<std::uint32_t>{0, 2, wanted[0]}));
}

TEST_F(LayOutTest, AnErrorOfTheSinkEndsTheReading) {
  Copy();
  const Status status = VerifySnapshot(repo_.get(), manifest_, 1, nullptr, nullptr);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(ReadFrames(repo_.get(), manifest_, {0, 1}, 1, nullptr, nullptr,
                       [](int, std::uint32_t, ByteView) { return Status(Code::kDiskFull, "full"); })
                .code(),
            Code::kDiskFull);
}

TEST_F(LayOutTest, CancelAtAnyQuestion) {
  Copy();
  bool is_finished = false;
  for (int questions = 0; !is_finished; questions++) {
    ASSERT_LT(questions, 1000);
    options_.directory = dir_ / ("out" + std::to_string(questions));
    const SetCancel cancel(questions);
    const Status status = LayOut(&cancel);
    is_finished = status.ok();
    EXPECT_TRUE(status.ok() || status.code() == Code::kCancelled) << status.ToString();
    EXPECT_EQ(IsThere("global/pg_control") &&
                  Read("global/pg_control") == cluster_.Read("global/pg_control"),
              is_finished);
  }
  const SetCancel at_once(0);
  EXPECT_EQ(VerifySnapshot(repo_.get(), manifest_, 1, nullptr, &at_once).code(), Code::kCancelled);
}

}  // namespace
}  // namespace pitr
