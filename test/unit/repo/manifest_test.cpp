#include "core/repo/manifest.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/manifest_body.h"
#include "unit/support/fault_store.h"
#include "unit/support/manifest_text.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

TEST(ManifestTest, ComesBackAsItWas) {
  const Manifest manifest = SampleManifest();
  ASSERT_TRUE(CheckManifest(manifest).ok()) << CheckManifest(manifest).ToString();
  for (const int level : {0, 1, 3}) {
    const auto decoded = DecodeManifest(EncodeManifest(manifest, level));
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(ManifestText(*decoded), ManifestText(manifest));
  }
}

TEST(ManifestTest, AnEmptyOneComesBackToo) {
  Manifest manifest;
  manifest.id = "sn-1";
  const auto decoded = DecodeManifest(EncodeManifest(manifest));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(ManifestText(*decoded), ManifestText(manifest));
  EXPECT_EQ(decoded->State(), "ok");
}

TEST(ManifestTest, TheHeadIsReadWithoutTheBody) {
  const Manifest manifest = SampleManifest();
  const Bytes bytes = EncodeManifest(manifest);
  const auto whole = DecodeManifestHead(bytes);
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  const auto head = DecodeManifestHead(ByteView(bytes).first(bytes.size() - whole->body_bytes));
  ASSERT_TRUE(head.ok()) << head.status().ToString();
  Manifest expected = manifest;
  expected.packs.clear();
  expected.frames.clear();
  expected.files.clear();
  expected.bad_pages.clear();
  EXPECT_EQ(ManifestText(head->manifest), ManifestText(expected));
  EXPECT_EQ(head->file_count, manifest.files.size());
  EXPECT_EQ(head->frame_count, manifest.frames.size());
  EXPECT_EQ(head->pack_count, manifest.packs.size());
  EXPECT_EQ(head->bad_page_count, 2U);
  EXPECT_EQ(head->State(), "ok_with_bad_pages");
  EXPECT_EQ(head->manifest_bytes, bytes.size());
}

// A manifest is a map of every page: what it costs must stay small against the pages.
TEST(ManifestTest, AFrameCostsSomeElevenBytes) {
  Manifest manifest;
  manifest.id = "sn-20261120T100000-0123abcd";
  constexpr std::uint32_t kFrames = 100000;
  manifest.packs = {{manifest.id, 1}};
  manifest.files = {{"base", FileKind::kDirectory, 0700, 0, "", {}},
                    {"base/5", FileKind::kDirectory, 0700, 0, "", {}}};
  std::uint64_t offset = 64;
  ManifestFile file{"base/5/16384", FileKind::kRelation, 0600, 0, "", {}};
  std::uint64_t hash = 88172645463325252;
  for (std::uint32_t i = 0; i < kFrames; i++) {
    hash ^= hash << 13;
    hash ^= hash >> 7;
    hash ^= hash << 17;
    const auto packed = static_cast<std::uint32_t>(60000 + hash % 4000);
    manifest.frames.push_back({0, offset, packed, kFrameSize, hash, false});
    offset += packed;
    file.extents.push_back({file.size, i, 0, kFrameSize});
    file.size += kFrameSize;
  }
  manifest.files.push_back(file);
  EXPECT_LT(EncodeManifest(manifest).size(), kFrames * 11);
}

TEST(ManifestTest, ACutManifestIsRefusedAtEveryLength) {
  for (const int level : {0, 3}) {
    const Bytes bytes = EncodeManifest(SampleManifest(), level);
    for (std::size_t size = 0; size < bytes.size(); size++) {
      EXPECT_FALSE(DecodeManifest(ByteView(bytes).first(size)).ok()) << size;
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(DecodeManifest(longer).ok());
  }
}

TEST(ManifestTest, NoChangedByteIsAcceptedUnlessItFitsTogether) {
  for (const int level : {0, 3}) {
    const Bytes bytes = EncodeManifest(SampleManifest(), level);
    for (std::size_t bit = 0; bit < bytes.size() * 8; bit++) {
      Bytes changed = bytes;
      changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      const auto decoded = DecodeManifest(changed);
      EXPECT_TRUE(!decoded.ok() || CheckManifest(*decoded).ok()) << bit;
    }
  }
}

TEST(ManifestTest, ANewerFormatIsUnsupportedNotDamaged) {
  Bytes bytes = EncodeManifest(SampleManifest());
  bytes[8] = 2;
  EXPECT_EQ(DecodeManifest(bytes).status().code(), Code::kUnsupported);
  EXPECT_EQ(DecodeManifestHead(bytes).status().code(), Code::kUnsupported);
}

TEST(ManifestTest, AHugeAnnouncedSizeReservesNothing) {
  Bytes bytes = EncodeManifest(SampleManifest());
  bytes[16 + 3] = 0x70;  // the body's plain size: 1.75 GiB more
  EXPECT_EQ(DecodeManifest(bytes).status().code(), Code::kCorrupt);
  bytes[16 + 7] = 0x70;
  EXPECT_EQ(DecodeManifest(bytes).status().code(), Code::kCorrupt);
}

// ---- what does not fit together ----

struct Mistake {
  const char* name;
  std::function<void(Manifest*)> make;
};

ManifestFile& FileAt(Manifest* m, std::string_view path) {
  for (ManifestFile& file : m->files) {
    if (file.path == path) {
      return file;
    }
  }
  ADD_FAILURE() << path;
  return m->files.front();
}

const Mistake kMistakes[] = {
    {"EmptyId", [](Manifest* m) { m->id = ""; }},
    {"IdWithSlash", [](Manifest* m) { m->id = "a/b"; }},
    {"IdOfDots", [](Manifest* m) { m->id = ".."; }},
    {"BasedOnSlash", [](Manifest* m) { m->based_on = "a/b"; }},
    {"PackOfSlash", [](Manifest* m) { m->packs[0].snapshot = "../x"; }},
    {"PackNumber", [](Manifest* m) { m->packs[0].number = 1000000; }},
    {"PackTwice", [](Manifest* m) { m->packs[2].number = 1; }},
    {"FrameInNoPack", [](Manifest* m) { m->frames[3].pack = 3; }},
    {"FrameInTheHead", [](Manifest* m) { m->frames[0].offset = 63; }},
    {"FrameFarAway", [](Manifest* m) { m->frames[0].offset = 1ULL << 41; }},
    {"FrameTooLong", [](Manifest* m) { m->frames[1].plain_size = kFrameSize + 1; }},
    {"FrameEmpty", [](Manifest* m) { m->frames[3].plain_size = 0; }},
    {"FramePackedEmpty", [](Manifest* m) { m->frames[3].packed_size = 0; }},
    {"FramePackedLonger", [](Manifest* m) { m->frames[3].packed_size = 16385; }},
    {"FrameStoredShorter", [](Manifest* m) { m->frames[2].packed_size = 8199; }},
    {"PathUpwards", [](Manifest* m) { FileAt(m, "PG_VERSION").path = ".."; }},
    {"PathUpwardsInside", [](Manifest* m) { FileAt(m, "base/5/1259").path = "base/../../x"; }},
    {"PathAbsolute", [](Manifest* m) { FileAt(m, "PG_VERSION").path = "/etc/passwd"; }},
    {"PathEmpty", [](Manifest* m) { FileAt(m, "PG_VERSION").path = ""; }},
    {"PathOfDot", [](Manifest* m) { FileAt(m, "PG_VERSION").path = "."; }},
    {"PathEndsInSlash", [](Manifest* m) { FileAt(m, "PG_VERSION").path = "base/"; }},
    {"PathTwoSlashes", [](Manifest* m) { FileAt(m, "base/5/1259").path = "base//x"; }},
    {"PathWithZero", [](Manifest* m) { FileAt(m, "PG_VERSION").path = std::string("a\0b", 3); }},
    {"PathTooLong", [](Manifest* m) { FileAt(m, "PG_VERSION").path = std::string(1024, 'x'); }},
    {"PathTwice", [](Manifest* m) { FileAt(m, "base/5/1260").path = "base/5/1259"; }},
    {"PathWithoutFolder", [](Manifest* m) { FileAt(m, "base/5/1259").path = "nowhere/1259"; }},
    {"PathBelowAFile", [](Manifest* m) { FileAt(m, "base/5/1259").path = "PG_VERSION/1259"; }},
    {"ChildBeforeFolder", [](Manifest* m) { std::swap(m->files[1], m->files[2]); }},
    {"Mode", [](Manifest* m) { FileAt(m, "base").mode = 010000; }},
    {"LinkElsewhere", [](Manifest* m) { FileAt(m, "pg_tblspc/16400").path = "base/16400"; }},
    {"LinkOfNoNumber", [](Manifest* m) { FileAt(m, "pg_tblspc/16400").path = "pg_tblspc/x"; }},
    {"LinkRelative", [](Manifest* m) { FileAt(m, "pg_tblspc/16400").link_target = "srv"; }},
    {"LinkToNothing", [](Manifest* m) { FileAt(m, "pg_tblspc/16400").link_target = ""; }},
    {"FolderWithContent", [](Manifest* m) { FileAt(m, "base").size = 8192; }},
    {"FolderWithExtents",
     [](Manifest* m) {
       FileAt(m, "base").extents = {{0, 0, 0, 1}};
     }},
    {"ExtentBeyondFile", [](Manifest* m) { FileAt(m, "PG_VERSION").size = 2; }},
    {"ExtentAtHugeOffset",
     [](Manifest* m) { FileAt(m, "PG_VERSION").extents[0].file_offset = ~0ULL - 1; }},
    {"ExtentEmpty", [](Manifest* m) { FileAt(m, "PG_VERSION").extents[0].length = 0; }},
    {"ExtentsOverlap", [](Manifest* m) { FileAt(m, "base/5/1259").extents[1].file_offset = 8192; }},
    {"ExtentInNoFrame", [](Manifest* m) { FileAt(m, "PG_VERSION").extents[0].frame = 4; }},
    {"ExtentBeyondFrame",
     [](Manifest* m) { FileAt(m, "PG_VERSION").extents[0].frame_offset = 8198; }},
    {"ExtentFarBeyondFrame",
     [](Manifest* m) { FileAt(m, "PG_VERSION").extents[0].frame_offset = ~0U; }},
    {"RelationOfNoWholePages", [](Manifest* m) { FileAt(m, "base/5/1261").size = 100; }},
    {"PageAtOddOffset", [](Manifest* m) { FileAt(m, "base/5/1260").extents[0].file_offset = 100; }},
    {"PageAtOddPlace", [](Manifest* m) { FileAt(m, "base/5/1260").extents[0].frame_offset = 100; }},
    {"PagesOfOddLength", [](Manifest* m) { FileAt(m, "base/5/1260").extents[0].length = 100; }},
    {"BadPageUpwards", [](Manifest* m) { m->bad_pages[0].path = "../x"; }},
};

class ManifestMistake : public ::testing::TestWithParam<Mistake> {};

TEST_P(ManifestMistake, IsRefusedByReaderAndWriter) {
  Manifest manifest = SampleManifest();
  GetParam().make(&manifest);
  EXPECT_EQ(CheckManifest(manifest).code(), Code::kCorrupt) << CheckManifest(manifest).ToString();
  const auto decoded = DecodeManifest(EncodeManifest(manifest));
  EXPECT_EQ(decoded.status().code(), Code::kCorrupt) << decoded.status().ToString();

  auto repo = Repository::Open(std::make_unique<MemoryStore>(), true);
  ASSERT_TRUE(repo.ok());
  EXPECT_EQ(WriteManifest(repo->get(), manifest).code(), Code::kCorrupt);
  EXPECT_TRUE(ListSnapshots(repo->get(), nullptr)->empty());
}

INSTANTIATE_TEST_SUITE_P(All, ManifestMistake, ::testing::ValuesIn(kMistakes),
                         [](const auto& test) { return std::string(test.param.name); });

// ---- in the repository ----

class StoredManifestTest : public ::testing::Test {
 protected:
  StoredManifestTest() {
    auto store = std::make_unique<MemoryStore>();
    store_ = store.get();
    repo_ = std::move(*Repository::Open(std::move(store), true));
  }

  Manifest Write(const SnapshotId& id, std::int64_t started_at) {
    Manifest manifest = SampleManifest();
    manifest.id = id;
    manifest.started_at = {started_at};
    const Status status = WriteManifest(repo_.get(), manifest);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return manifest;
  }

  MemoryStore* store_;
  std::unique_ptr<Repository> repo_;
};

TEST_F(StoredManifestTest, IsReadBack) {
  const Manifest manifest = Write("sn-1", 1);
  const auto read = ReadManifest(repo_.get(), "sn-1");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(ManifestText(*read), ManifestText(manifest));
}

TEST_F(StoredManifestTest, AbsentIsNotFound) {
  EXPECT_EQ(ReadManifest(repo_.get(), "sn-1").status().code(), Code::kNotFound);
  EXPECT_EQ(ReadManifest(repo_.get(), "../x").status().code(), Code::kNotFound);
}

TEST_F(StoredManifestTest, IsNeverReplaced) {
  Write("sn-1", 1);
  Manifest other = SampleManifest();
  other.id = "sn-1";
  other.name = "other";
  EXPECT_EQ(WriteManifest(repo_.get(), other).code(), Code::kAlreadyExists);
  EXPECT_EQ(ReadManifest(repo_.get(), "sn-1")->name, "before the migration");
}

TEST_F(StoredManifestTest, ListedOldestStartFirst) {
  Write("sn-3", 20);
  Write("sn-2", 30);
  Write("sn-1", 10);
  const auto heads = ListSnapshots(repo_.get(), nullptr);
  ASSERT_TRUE(heads.ok()) << heads.status().ToString();
  ASSERT_EQ(heads->size(), 3U);
  EXPECT_EQ((*heads)[0].manifest.id, "sn-1");
  EXPECT_EQ((*heads)[1].manifest.id, "sn-3");
  EXPECT_EQ((*heads)[2].manifest.id, "sn-2");
}

TEST_F(StoredManifestTest, ADamagedOneIsNamedAndTheOthersListed) {
  Write("sn-1", 1);
  Write("sn-2", 2);
  Write("sn-3", 3);
  Bytes& tail = store_->Tamper(layout::ManifestObject("sn-2"));
  tail[tail.size() - kEnvelopeFootSize - 5] ^= 1;  // in the head that repeats before the footer
  store_->Tamper(layout::ManifestObject("sn-3")).resize(100);
  std::vector<std::string> damaged;
  const auto heads = ListSnapshots(repo_.get(), &damaged);
  ASSERT_TRUE(heads.ok()) << heads.status().ToString();
  ASSERT_EQ(heads->size(), 1U);
  EXPECT_EQ((*heads)[0].manifest.id, "sn-1");
  EXPECT_EQ(damaged, (std::vector<std::string>{"sn-2", "sn-3"}));
  EXPECT_EQ(ReadManifest(repo_.get(), "sn-3").status().code(), Code::kCorrupt);
}

TEST_F(StoredManifestTest, ADamagedBodyIsFoundWhenItIsRead) {
  Write("sn-1", 1);
  store_->Tamper(layout::ManifestObject("sn-1"))[kEnvelopeHeadSize + 600] ^= 1;
  EXPECT_EQ(ReadManifest(repo_.get(), "sn-1").status().code(), Code::kCorrupt);
}

TEST_F(StoredManifestTest, OneUnderAnotherNameIsDamage) {
  Write("sn-1", 1);
  const Bytes bytes = store_->Tamper(layout::ManifestObject("sn-1"));
  ASSERT_TRUE(store_->Put(layout::ManifestObject("sn-2"), bytes).ok());
  std::vector<std::string> damaged;
  ASSERT_TRUE(ListSnapshots(repo_.get(), &damaged).ok());
  EXPECT_EQ(damaged, std::vector<std::string>{"sn-2"});
  EXPECT_EQ(ReadManifest(repo_.get(), "sn-2").status().code(), Code::kCorrupt);
}

TEST_F(StoredManifestTest, ASnapshotWithoutManifestDoesNotExist) {
  ASSERT_TRUE(store_->Put("snapshots/sn-1/other", AsBytes("x")).ok());
  std::vector<std::string> damaged;
  EXPECT_TRUE(ListSnapshots(repo_.get(), &damaged)->empty());
  EXPECT_TRUE(damaged.empty());
}

// "Could not find out" must not look like "there is none".
TEST_F(StoredManifestTest, AStoreThatDoesNotAnswerIsAnError) {
  Write("sn-1", 1);
  MemoryStore inner(store_->shared());
  for (int at = 1; at <= 2; at++) {  // the listing, and reading the head; opening is operation 0
    auto repo = Repository::Open(
        std::make_unique<FaultStore>(
            &inner, FaultStore::Plan{FaultStore::kFailOnce, at, Code::kUnavailable}),
        false);
    ASSERT_TRUE(repo.ok()) << repo.status().ToString();
    std::vector<std::string> damaged;
    EXPECT_EQ(ListSnapshots(repo->get(), &damaged).status().code(), Code::kUnavailable);
    EXPECT_TRUE(damaged.empty());
  }
}

// ---- golden file ----

// The body is uncompressed, because zstd promises no particular bytes. PITR_UPDATE_GOLDEN=1 writes both files, for a new
// version of the format only: a golden file that was published is never written again.
TEST(ManifestGoldenTest, TodaysWriterMakesVersion1AndTodaysReaderReadsIt) {
  const std::string base = std::string(PITR_TEST_DIR) + "/golden/manifest/v1";
  const Manifest sample = SampleManifest();
  if (std::getenv("PITR_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileDurably(base + ".txt", AsBytes(ManifestText(sample)), 0644).ok());
    ASSERT_TRUE(WriteFileDurably(base + ".bin", EncodeManifest(sample, 0), 0644).ok());
    ASSERT_TRUE(WriteFileDurably(base + "_zstd.bin", EncodeManifest(sample), 0644).ok());
  }
  const auto text = ReadTextFile(base + ".txt", 1U << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(ManifestText(sample), *text);
  for (const char* end : {".bin", "_zstd.bin"}) {
    const auto golden = ReadFile(base + end, 1U << 20);
    ASSERT_TRUE(golden.ok()) << golden.status().ToString();
    const auto decoded = DecodeManifest(*golden);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(ManifestText(*decoded), *text);
  }
  EXPECT_EQ(ToHex(EncodeManifest(sample, 0)), ToHex(*ReadFile(base + ".bin", 1U << 20)));
}

}  // namespace
}  // namespace pitr
