#include "core/work/snapshot_copy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/repo/layout.h"
#include "core/work/lay_out.h"
#include "core/work/snapshot_gather.h"
#include "unit/support/fake_cluster.h"
#include "unit/support/fault_store.h"
#include "unit/support/manifest_text.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class CountingProgress final : public Progress {
 public:
  void Phase(std::string_view) noexcept override {}
  void Total(std::uint64_t bytes) noexcept override { total = bytes; }
  void Done(std::uint64_t more_bytes) noexcept override { done += more_bytes; }
  std::atomic<std::uint64_t> total = 0, done = 0;
};

// True from the n-th question on.
class LateCancel final : public CancelToken {
 public:
  explicit LateCancel(int questions) : left_(questions) {}
  bool IsCancelled() const noexcept override { return left_-- <= 0; }

 private:
  mutable std::atomic<int> left_;
};

class ListLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view message) noexcept override { lines.emplace_back(message); }
  std::vector<std::string> lines;
};

class SnapshotCopyTest : public ::testing::Test {
 protected:
  SnapshotCopyTest() : cluster_(dir_ / "data"), objects_(std::make_shared<MemoryObjects>()) {
    repo_ = std::move(*Repository::Open(std::make_unique<MemoryStore>(objects_), true));
    options_.data_directory = cluster_.path();
    options_.snapshot = "sn-1";
    options_.workers = 3;
    options_.verify_checksums = true;
    options_.pack_target = 400000;  // several packs
    options_.excluded_directories = {"log"};
  }

  // More than one run of 32 pages, with a hole of zeroes, and no whole run at the end; small files that share frames.
  void Fill() {
    cluster_.Relation("base/5/16384", 100, 75);
    Bytes content;
    for (std::uint32_t i = 0; i < 140; i++) {
      const Bytes page = i >= 20 && i < 110 ? Bytes(kPageSize) : FakePage(i, i);
      content.insert(content.end(), page.begin(), page.end());
    }
    cluster_.Put("base/5/16390", AsText(content));
    cluster_.Relation("base/5/16384.1", 500, 40, 131072);
    cluster_.Put("pg_xact/0001", std::string(300000, 'c'));
    for (std::uint32_t i = 0; i < 40; i++) {
      cluster_.Relation("base/5/" + std::to_string(20000 + i), 1000 + i, i % 4);
      cluster_.Put("base/5/note" + std::to_string(i), "text " + std::to_string(i));
    }
    cluster_.Put("empty", "");
  }

  Manifest Copy(Status* status = nullptr, const CancelToken* cancel = nullptr) {
    Manifest manifest;
    const Status result = CopySnapshot(repo_.get(), options_, &manifest, &progress_, cancel);
    if (status != nullptr) {
      *status = result;
    } else {
      EXPECT_TRUE(result.ok()) << result.ToString();
      EXPECT_TRUE(CheckManifest(manifest).ok()) << CheckManifest(manifest).ToString();
    }
    return manifest;
  }

  static std::map<std::string, ManifestFile> ByPath(const Manifest& manifest) {
    std::map<std::string, ManifestFile> files;
    for (const ManifestFile& file : manifest.files) {
      files.emplace(file.path, file);
    }
    return files;
  }

  // Lays the manifest out and compares every file with the cluster's.
  void ExpectSameFiles(const Manifest& manifest) {
    LayOutOptions options;
    options.directory = dir_ / "out";
    const Status status = LayOutDirectory(repo_.get(), manifest, options, nullptr, nullptr);
    ASSERT_TRUE(status.ok()) << status.ToString();
    const FakeCluster copy_of = FakeCluster::At(options.directory);
    for (const ManifestFile& file : manifest.files) {
      if (file.kind == FileKind::kPlain || file.kind == FileKind::kRelation) {
        EXPECT_TRUE(copy_of.Read(file.path) == cluster_.Read(file.path)) << file.path;
      }
    }
    ASSERT_TRUE(RemoveTree(options.directory).ok());
  }

  std::size_t Packs() {
    return MemoryStore(objects_).List(layout::AllPacksPrefix(), "", 0)->size();
  }

  TempDir dir_;
  FakeCluster cluster_;
  std::shared_ptr<MemoryObjects> objects_;
  std::unique_ptr<Repository> repo_;
  SnapshotCopyOptions options_;
  CountingProgress progress_;
};

TEST_F(SnapshotCopyTest, EveryFileComesBackWithAnyNumberOfThreadsAndLevel) {
  Fill();
  cluster_.PutExcluded();
  for (const int workers : {1, 2, 5}) {
    for (const int level : {0, 1, 3}) {
      options_.workers = workers;
      options_.compression_level = level;
      options_.snapshot = "sn-" + std::to_string(workers) + "-" + std::to_string(level);
      const Manifest manifest = Copy();
      EXPECT_GT(manifest.packs.size(), 1U);
      EXPECT_TRUE(VerifySnapshot(repo_.get(), manifest, 2, nullptr, nullptr).ok());
      ExpectSameFiles(manifest);
    }
  }
}

TEST_F(SnapshotCopyTest, FillsWhatItPromises) {
  Fill();
  const Manifest manifest = Copy();
  EXPECT_EQ(manifest.id, "sn-1");
  EXPECT_EQ(manifest.control.max_connections, 100);
  EXPECT_EQ(manifest.control.data_checksum_version, 1U);
  EXPECT_TRUE(manifest.bad_pages.empty());
  std::uint64_t stored = 0, plain = 0;
  for (const Frame& frame : manifest.frames) {
    stored += frame.packed_size;
  }
  for (const ManifestFile& file : manifest.files) {
    plain += file.size;
  }
  EXPECT_EQ(manifest.stored_bytes, stored);
  EXPECT_EQ(manifest.new_bytes, stored);
  EXPECT_EQ(manifest.database_bytes, plain);
  EXPECT_EQ(progress_.done, progress_.total);
  EXPECT_EQ(progress_.total, plain);
}

TEST_F(SnapshotCopyTest, BigFilesAreCutInRunsOf32PagesAndSmallOnesShareFrames) {
  Fill();
  const Manifest manifest = Copy();
  const auto files = ByPath(manifest);
  const auto& big = files.at("base/5/16384").extents;
  ASSERT_EQ(big.size(), 3U);
  EXPECT_EQ(big[0].length, kFrameSize);
  EXPECT_EQ(big[1].file_offset, kFrameSize);
  EXPECT_EQ(big[1].frame_offset, 0U);
  EXPECT_EQ(big[2].length, 11U * kPageSize);
  EXPECT_EQ(files.at("base/5/20001").extents[0].frame, files.at("base/5/20002").extents[0].frame);
  // Bytes that are no pages keep away from pages.
  std::map<std::uint32_t, std::set<FileKind>> kinds;
  for (const ManifestFile& file : manifest.files) {
    for (const Extent& extent : file.extents) {
      kinds[extent.frame].insert(file.kind);
    }
  }
  for (const auto& [frame, found] : kinds) {
    EXPECT_EQ(found.size(), 1U) << frame;
  }
}

TEST_F(SnapshotCopyTest, ZeroPagesAreNotStored) {
  Fill();
  const auto files = ByPath(Copy());
  const ManifestFile& holey = files.at("base/5/16390");
  EXPECT_EQ(holey.size, 140U * kPageSize);
  for (const Extent& extent : holey.extents) {
    EXPECT_TRUE(extent.file_offset + extent.length <= 20U * kPageSize ||
                extent.file_offset >= 110U * kPageSize);
  }
  EXPECT_TRUE(files.at("pg_multixact/members/0000").extents.empty());
  EXPECT_EQ(files.at("pg_multixact/members/0000").size, 8192U);
}

TEST_F(SnapshotCopyTest, FramesAreListedAsTheyLie) {
  Fill();
  const Manifest manifest = Copy();
  for (std::size_t i = 1; i < manifest.frames.size(); i++) {
    const Frame& before = manifest.frames[i - 1];
    const Frame& frame = manifest.frames[i];
    if (before.pack == frame.pack) {
      EXPECT_EQ(frame.offset, before.offset + before.packed_size);
    } else {
      EXPECT_EQ(frame.pack, before.pack + 1);
      EXPECT_EQ(frame.offset, kPackHeadSize);
    }
  }
}

TEST_F(SnapshotCopyTest, PgControlLiesLast) {
  Fill();
  options_.workers = 1;
  const Manifest manifest = Copy();
  EXPECT_EQ(ByPath(manifest).at("global/pg_control").extents[0].frame, manifest.frames.size() - 1);
}

// ---- page checksums ----

TEST_F(SnapshotCopyTest, DamagedPagesAreListedAndCopiedAsTheyAre) {
  Fill();
  std::string content = cluster_.Read("base/5/16384");
  content[5 * kPageSize + 4000] ^= 1;
  content[40 * kPageSize + 4000] ^= 1;
  cluster_.Put("base/5/16384", content);
  content = cluster_.Read("base/5/16384.1");
  content[3 * kPageSize + 4000] ^= 1;
  cluster_.Put("base/5/16384.1", content);
  ListLogger logger;
  options_.logger = &logger;
  const Manifest manifest = Copy();
  ASSERT_EQ(manifest.bad_pages.size(), 3U);
  EXPECT_EQ(manifest.bad_pages[0].path, "base/5/16384");
  EXPECT_EQ(manifest.bad_pages[0].block, 5U);
  EXPECT_EQ(manifest.bad_pages[1].block, 40U);
  EXPECT_EQ(manifest.bad_pages[2].path, "base/5/16384.1");
  EXPECT_EQ(manifest.bad_pages[2].block, 3U) << "within the file, not within the relation";
  EXPECT_EQ(manifest.State(), "ok_with_bad_pages");
  ASSERT_EQ(logger.lines.size(), 3U);
  EXPECT_NE(logger.lines[0].find("block 5 of file \"base/5/16384\""), std::string::npos)
      << logger.lines[0];
  ExpectSameFiles(manifest);
}

TEST_F(SnapshotCopyTest, PagesChangedSinceTheStartAreNotJudged) {
  Bytes page = FakePage(1, 0, 0x3000000);
  page[4000] ^= 1;
  cluster_.Put("base/5/16384", AsText(page));
  options_.start_lsn = {0x3000000};
  EXPECT_TRUE(Copy().bad_pages.empty());
  options_.start_lsn = {0x3000001};
  options_.snapshot = "sn-2";
  EXPECT_EQ(Copy().bad_pages.size(), 1U);
}

TEST_F(SnapshotCopyTest, ChecksumsAreNotJudgedWhenNotAskedFor) {
  cluster_.Put("base/5/16384", std::string(kPageSize, 'x'));
  options_.verify_checksums = false;
  EXPECT_TRUE(Copy().bad_pages.empty());
}

// Half of the time every page is torn, so that half of them would be called bad if they were not read again.
TEST_F(SnapshotCopyTest, PagesThatAreBeingWrittenAreReadAgain) {
  Bytes good, torn;
  for (std::uint32_t i = 0; i < kFramePages; i++) {
    const Bytes page = FakePage(i, i);
    good.insert(good.end(), page.begin(), page.end());
    torn.insert(torn.end(), page.begin(), page.begin() + 4096);
    torn.resize(good.size());
  }
  cluster_.Put("base/5/16384", AsText(good));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    Result<File> file = File::Open(cluster_.path() + "/base/5/16384", O_WRONLY);
    while (!stop) {
      (void)file->WriteAt(0, torn);
      (void)file->WriteAt(0, good);
    }
  });
  std::size_t bad = 0;
  constexpr std::size_t kCopies = 20;
  for (std::size_t i = 0; i < kCopies; i++) {
    options_.snapshot = "sn-torn" + std::to_string(i);
    bad += Copy().bad_pages.size();
  }
  stop = true;
  writer.join();
  EXPECT_LT(bad, kCopies * kFramePages * 3 / 8);  // a sixteenth is to be expected
}

// ---- a directory that changes ----

// Calls `change` at the first question, which is asked after the files were listed.
class ChangeAtFirstQuestion final : public CancelToken {
 public:
  explicit ChangeAtFirstQuestion(std::function<void()> change) : change_(std::move(change)) {}
  bool IsCancelled() const noexcept override {
    std::call_once(once_, change_);
    return false;
  }

 private:
  std::function<void()> change_;
  mutable std::once_flag once_;
};

TEST_F(SnapshotCopyTest, FilesThatVanishShrinkOrGrowMeanwhile) {
  Fill();
  const ChangeAtFirstQuestion change([&] {
    EXPECT_TRUE(RemoveFile(cluster_.path() + "/base/5/20003").ok());
    EXPECT_TRUE(RemoveFile(cluster_.path() + "/base/5/16384").ok());
    EXPECT_EQ(::truncate((cluster_.path() + "/base/5/16390").c_str(), 3 * kPageSize + 100), 0);
    cluster_.Relation("base/5/20002", 1002, 9);  // listed with 2 pages
    cluster_.Put("empty", "no longer");          // a plain file may be rewritten
    cluster_.Put("base/5/note1", std::string(600000, 'n'));
    cluster_.Put("base/5/note2", "t");
  });
  const Manifest manifest = Copy(nullptr, &change);
  const auto files = ByPath(manifest);
  EXPECT_EQ(files.count("base/5/20003"), 0U);
  EXPECT_EQ(files.count("base/5/16384"), 0U);
  EXPECT_EQ(files.at("base/5/16390").size, 3U * kPageSize);
  EXPECT_EQ(files.at("base/5/20002").size, 2U * kPageSize) << "pages added since come from WAL";
  EXPECT_EQ(files.at("empty").size, 9U);
  EXPECT_EQ(files.at("base/5/note1").size, 600000U);
  EXPECT_EQ(files.at("base/5/note2").size, 1U);
  EXPECT_EQ(progress_.done, progress_.total);
  EXPECT_TRUE(VerifySnapshot(repo_.get(), manifest, 2, nullptr, nullptr).ok());
}

// ---- increments ----

class IncrementCopyTest : public SnapshotCopyTest {
 protected:
  static wal::RelFork Rel(std::uint32_t relation) { return {1663, 5, relation, 0}; }

  Manifest Increment(const Manifest& base, const std::string& id) {
    options_.base = &base;
    options_.changed = &changed_;
    options_.figures = &figures_;
    options_.snapshot = id;
    Manifest manifest = Copy();
    EXPECT_EQ(manifest.kind, "increment");
    EXPECT_EQ(manifest.based_on, base.id);
    changed_ = {};
    return manifest;
  }
  void ChangePage(const std::string& path, std::uint32_t relation, std::uint32_t block) {
    Result<File> file = File::Open(JoinPath(cluster_.path(), path), O_RDWR);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_TRUE(file->WriteAt(block * kPageSize, FakePage(seed_++, block)).ok());
    changed_.blocks[Rel(relation)].Add(block);
  }
  static std::set<std::string> PacksOf(const Manifest& manifest) {
    std::set<std::string> ids;
    for (const PackRef& pack : manifest.packs) {
      ids.insert(pack.snapshot);
    }
    return ids;
  }

  ChangedPages changed_;
  SnapshotCopyFigures figures_;
  std::uint32_t seed_ = 5000;
};

TEST_F(IncrementCopyTest, ReadsAndStoresWhatChangedAndMapsEverything) {
  Fill();
  const Manifest base = Copy();
  ChangePage("base/5/16384", 16384, 3);
  ChangePage("base/5/16384", 16384, 70);
  ChangePage("base/5/16390", 16390, 60);  // was a page of zeroes
  cluster_.Put("base/5/note1", "changed");
  cluster_.Put("pg_xact/0002", std::string(1000, 'n'));
  ASSERT_TRUE(RemoveFile(cluster_.path() + "/base/5/20003").ok());
  const Manifest first = Increment(base, "sn-2");
  ExpectSameFiles(first);
  EXPECT_EQ(PacksOf(first), (std::set<std::string>{"sn-1", "sn-2"}));
  EXPECT_LT(first.new_bytes, base.new_bytes / 5);
  EXPECT_GT(first.stored_bytes, base.stored_bytes / 2);
  EXPECT_LT(figures_.read_bytes, base.database_bytes / 2);
  std::uint64_t stored = 0, fresh = 0;
  for (const Frame& frame : first.frames) {
    stored += frame.packed_size;
    fresh += first.packs[frame.pack].snapshot == "sn-2" ? frame.packed_size : 0;
  }
  EXPECT_EQ(first.stored_bytes, stored);
  EXPECT_EQ(first.new_bytes, fresh);

  ChangePage("base/5/16384", 16384, 3);
  const Manifest second = Increment(first, "sn-3");
  ExpectSameFiles(second);
  EXPECT_TRUE(VerifySnapshot(repo_.get(), second, 2, nullptr, nullptr).ok());
  const Result<Manifest> decoded = DecodeManifest(EncodeManifest(second));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded->frames.size(), second.frames.size());
  // The others are as good as they were.
  EXPECT_TRUE(VerifySnapshot(repo_.get(), base, 2, nullptr, nullptr).ok());
}

// A page that changed without being named: what makes the judges of the server tests worth something.
TEST_F(IncrementCopyTest, APageThatIsNotNamedIsNotCopied) {
  Fill();
  const Manifest base = Copy();
  ChangePage("base/5/16384", 16384, 3);
  changed_ = {};
  const Manifest increment = Increment(base, "sn-2");
  LayOutOptions options;
  options.directory = dir_ / "out";
  ASSERT_TRUE(LayOutDirectory(repo_.get(), increment, options, nullptr, nullptr).ok());
  EXPECT_FALSE(FakeCluster::At(options.directory).Read("base/5/16384") ==
               cluster_.Read("base/5/16384"));
}

TEST_F(IncrementCopyTest, NothingChangedStoresNearlyNothing) {
  Fill();
  const Manifest base = Copy();
  const Manifest increment = Increment(base, "sn-2");
  ExpectSameFiles(increment);
  EXPECT_LT(increment.new_bytes, base.new_bytes / 10) << "frames of whole files are known";
}

TEST_F(IncrementCopyTest, FilesThatGrowShrinkOrAreMadeAnew) {
  Fill();
  const Manifest base = Copy();
  cluster_.Relation("base/5/16384", 7000, 90);  // cut to 10 and grown, other content
  for (std::uint32_t page = 0; page < 10; page++) {
    changed_.blocks[Rel(16384)].Add(page);
  }
  changed_.truncated[Rel(16384)] = 10;
  cluster_.Relation("base/5/20001", 1001, 60);  // grown from 1
  cluster_.Relation("base/5/20002", 8000, 50);  // another relation of that name
  changed_.remade.insert(Rel(20002));
  ASSERT_EQ(::truncate((cluster_.path() + "/base/5/16390").c_str(), 12 * kPageSize), 0);
  changed_.truncated[Rel(16390)] = 12;
  const Manifest increment = Increment(base, "sn-2");
  ExpectSameFiles(increment);
}

TEST_F(IncrementCopyTest, PagesThatAreGoneByThenAreLeftToReplay) {
  Fill();
  const Manifest base = Copy();
  ChangePage("base/5/16384", 16384, 70);
  ChangePage("base/5/16390", 16390, 130);
  const ChangeAtFirstQuestion change([&] {
    EXPECT_EQ(::truncate((cluster_.path() + "/base/5/16384").c_str(), 20 * kPageSize), 0);
    EXPECT_TRUE(RemoveFile(cluster_.path() + "/base/5/16390").ok());
  });
  options_.base = &base;
  options_.changed = &changed_;
  options_.snapshot = "sn-2";
  const auto files = ByPath(Copy(nullptr, &change));
  EXPECT_EQ(files.at("base/5/16384").size, 75U * kPageSize);
  EXPECT_EQ(files.count("base/5/16390"), 0U);
}

// However many increments: no restore reads much more than it lays out, and no snapshot needs much more in the repository.
TEST_F(IncrementCopyTest, ManyIncrementsDoNotWearItOut) {
  options_.pack_target = 64U << 20;
  options_.workers = 1;
  cluster_.Relation("base/5/16384", 1, 300);
  cluster_.Relation("base/5/16385", 2, 300);
  Manifest newest = Copy();
  std::uint32_t random = 12345;
  for (int i = 2; i < 40; i++) {
    for (int changes = 0; changes < 30; changes++) {
      random = random * 1664525U + 1013904223U;
      const std::uint32_t relation = 16384 + (random >> 30 & 1);
      ChangePage("base/5/" + std::to_string(relation), relation, (random >> 8) % 300);
    }
    const Manifest before = std::move(newest);
    newest = Increment(before, "sn-" + std::to_string(i));
  }
  ExpectSameFiles(newest);
  std::uint64_t plain = 0, live = 0, packs = 0, extents = 0;
  for (const Frame& frame : newest.frames) {
    plain += frame.plain_size;
  }
  for (const ManifestFile& file : newest.files) {
    extents += file.extents.size();
    for (const Extent& extent : file.extents) {
      live += extent.length;
    }
  }
  MemoryStore store(objects_);
  for (const PackRef& pack : newest.packs) {
    packs += store.Stat(layout::PackObject(pack.snapshot, pack.number))->size;
  }
  EXPECT_LT(plain, live * 5 / 2);
  EXPECT_LT(packs, newest.stored_bytes * 5 / 2);
  EXPECT_LT(newest.packs.size(), 30U);
  EXPECT_LT(extents, 400U) << "of 600 pages";
}

// ---- refusals, cancel, crash ----

TEST_F(SnapshotCopyTest, AnotherBlockSizeIsRefused) {
  cluster_.Put("global/pg_control", AsText(FakeControl(16384)));
  Status status;
  Copy(&status);
  EXPECT_EQ(status.code(), Code::kUnsupported);
}

TEST_F(SnapshotCopyTest, NoDataDirectoryIsAnError) {
  options_.data_directory = dir_ / "nothing";
  Status status;
  Copy(&status);
  EXPECT_EQ(status.code(), Code::kNotFound);
}

TEST_F(SnapshotCopyTest, CancelAtAnyQuestionLeavesNothing) {
  Fill();
  bool is_finished = false;
  for (int questions = 0; !is_finished; questions += 7) {
    ASSERT_LT(questions, 5000);
    const LateCancel cancel(questions);
    Status status;
    Copy(&status, &cancel);
    is_finished = status.ok();
    if (!is_finished) {
      EXPECT_EQ(status.code(), Code::kCancelled) << status.ToString();
      EXPECT_EQ(Packs(), 0U) << questions;
    }
  }
}

TEST_F(SnapshotCopyTest, AnUnreadableFileFailsTheSnapshotAndNamesIt) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root reads everything";
  }
  Fill();
  ASSERT_EQ(::chmod((cluster_.path() + "/base/5/16390").c_str(), 0), 0);
  Status status;
  Copy(&status);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("base/5/16390"), std::string::npos) << status.ToString();
  EXPECT_EQ(Packs(), 0U);
}

// Whatever dies when: there is no manifest, or all that it names can be read. What a dead process leaves is named by no
// manifest.
TEST_F(SnapshotCopyTest, DyingAtAnyStoreOperationLeavesAWholeSnapshotOrNone) {
  cluster_.Relation("base/5/16384", 100, 40);
  cluster_.Relation("base/5/16385", 200, 40);
  options_.workers = 1;
  options_.pack_target = 100000;
  for (const auto way : {FaultStore::kDieBefore, FaultStore::kDieAfter, FaultStore::kFailOnce}) {
    bool is_finished = false;
    for (int at = 1; !is_finished; at++) {  // operation 0 opens the repository
      ASSERT_LT(at, 1000);
      objects_ = std::make_shared<MemoryObjects>();
      MemoryStore inner(objects_);
      ASSERT_TRUE(Repository::Open(std::make_unique<MemoryStore>(objects_), true).ok());
      auto store = std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at});
      FaultStore* const counter = store.get();
      repo_ = std::move(*Repository::Open(std::move(store), false));
      Manifest manifest;
      Status status = CopySnapshot(repo_.get(), options_, &manifest, nullptr, nullptr);
      if (status.ok()) {
        status = WriteManifest(repo_.get(), manifest);
      }
      is_finished = counter->operations() <= at;
      EXPECT_TRUE(!is_finished || status.ok()) << status.ToString();

      const auto after = Repository::Open(std::make_unique<MemoryStore>(objects_), false);
      std::vector<std::string> damaged;
      const auto heads = ListSnapshots(after->get(), &damaged);
      ASSERT_TRUE(heads.ok()) << heads.status().ToString();
      EXPECT_TRUE(damaged.empty());
      EXPECT_TRUE(!status.ok() || heads->size() == 1) << "said OK without a snapshot";
      for (const ManifestHead& head : *heads) {
        const auto found = ReadManifest(after->get(), head.manifest.id);
        ASSERT_TRUE(found.ok()) << found.status().ToString();
        const Status verified = VerifySnapshot(after->get(), *found, 1, nullptr, nullptr);
        EXPECT_TRUE(verified.ok()) << verified.ToString();
      }
      if (way == FaultStore::kFailOnce && heads->empty()) {
        EXPECT_EQ(Packs(), manifest.packs.size())
            << "a process that lives on removes its packs if the copy failed";
      }
    }
  }
}

}  // namespace
}  // namespace pitr
