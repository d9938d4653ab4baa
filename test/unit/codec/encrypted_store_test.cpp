// That it is a store like any other is shown by the contract suite (store/store_contract_test.cpp). Here: what lies below, every kind of
// tampering, and that ranges stay ranges.
#include "core/codec/encrypted_store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/codec/encrypted_format.h"
#include "unit/support/fault_store.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

using encrypted::kChunkSize;
using encrypted::kFootSize;
using encrypted::kStoredChunkSize;

const std::string kName = "packs/one/000001";
const std::string kRepository = "5a1f0c3be2d94f7c8a6be01d27c3f590";

Bytes Content(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; i++) {
    bytes[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13);
  }
  return bytes;
}

// Sizes at which something ends.
const std::size_t kSizes[] = {
    0, 1, 100, kChunkSize - 1, kChunkSize, kChunkSize + 1, 3 * kChunkSize, 3 * kChunkSize + 777};

class EncryptedStoreTest : public testing::Test {
 protected:
  std::unique_ptr<EncryptedStore> Open() { return Open(key_, kRepository); }
  std::unique_ptr<EncryptedStore> Open(const SecretKey& key, const std::string& repository) {
    return std::make_unique<EncryptedStore>(std::make_unique<MemoryStore>(objects_), key,
                                            repository);
  }
  void Put(const std::string& name, ByteView bytes) {
    const Status status = Open()->Put(name, bytes);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  Bytes& Stored(const std::string& name) { return objects_->objects.at(name); }

  // By a new handle, in every way in which it can be read. Where one of them gives bytes, they are the right ones.
  void ExpectDamaged(const std::string& what, const Bytes& right, bool every_way = true) {
    const auto judge = [&](const char* how, const Result<Bytes>& got, ByteView expected) {
      if (got.ok()) {
        EXPECT_FALSE(every_way) << what << ", " << how;
        EXPECT_TRUE(std::equal(got->begin(), got->end(), expected.begin(), expected.end()))
            << what << ", " << how;
      } else {
        EXPECT_TRUE(got.status().code() == Code::kCorrupt ||
                    got.status().code() == Code::kUnsupported)
            << what << ", " << how << ": " << got.status().ToString();
      }
    };
    const Result<Bytes> whole = Open()->Get(kName, 64U << 20);
    EXPECT_FALSE(whole.ok()) << what;
    judge("whole", whole, right);
    judge("range", Open()->GetRange(kName, 0, right.size() + 1), right);
    judge("suffix", Open()->GetSuffix(kName, right.size() + 1), right);
  }

  const SecretKey key_ = *SecretKey::Random();
  const std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
};

TEST_F(EncryptedStoreTest, NothingPlainLiesBelowAndSizesAreKnown) {
  for (const std::size_t size : kSizes) {
    const std::string name = "sizes/" + std::to_string(size);
    const Bytes plain(size, 'x');
    Put(name, plain);
    const Bytes& stored = Stored(name);
    EXPECT_EQ(stored.size(), encrypted::StoredSize(size));
    EXPECT_EQ(encrypted::PlainSize(stored.size()), size);
    EXPECT_EQ(Open()->Stat(name)->size, size);
    const std::string_view text = AsText(stored);
    EXPECT_EQ(text.find("xxxxxxxx"), std::string_view::npos);
    EXPECT_EQ(*Open()->Get(name, size), plain);
    // The same again looks different: another data key.
    const Bytes first = stored;
    ASSERT_TRUE(Open()->Remove(name).ok());
    Put(name, plain);
    EXPECT_NE(Stored(name), first);
  }
}

TEST_F(EncryptedStoreTest, PlainSizesOfImpossibleObjectsAreSmallAndNoError) {
  for (std::uint64_t stored = 0; stored < 3 * kStoredChunkSize; stored++) {
    const std::uint64_t plain = encrypted::PlainSize(stored);
    ASSERT_LE(plain, stored);
    if (encrypted::StoredSize(plain) != stored) {
      ASSERT_LT(encrypted::StoredSize(plain), std::max<std::uint64_t>(stored, kFootSize + 1));
    }
  }
  EXPECT_EQ(encrypted::StoredSize(UINT64_MAX), UINT64_MAX);
}

TEST_F(EncryptedStoreTest, RangesAndSuffixesAtEveryBorder) {
  const Bytes plain = Content(3 * kChunkSize + 777);
  Put(kName, plain);
  const std::unique_ptr<EncryptedStore> store = Open();
  std::vector<std::uint64_t> places = {0, 1};
  for (std::uint64_t chunk = 1; chunk <= 4; chunk++) {
    for (const std::int64_t delta : {-1, 0, 1}) {
      places.push_back(chunk * kChunkSize + static_cast<std::uint64_t>(delta));
    }
  }
  places.insert(places.end(), {plain.size() - 1, plain.size(), plain.size() + 1});
  for (const std::uint64_t begin : places) {
    for (const std::uint64_t end : places) {
      if (end < begin) continue;
      const Result<Bytes> got = store->GetRange(kName, begin, end - begin);
      ASSERT_TRUE(got.ok()) << got.status().ToString();
      const std::uint64_t from = std::min<std::uint64_t>(begin, plain.size());
      const std::uint64_t to = std::min<std::uint64_t>(end, plain.size());
      EXPECT_TRUE(std::equal(got->begin(), got->end(),
                             plain.begin() + static_cast<std::ptrdiff_t>(from),
                             plain.begin() + static_cast<std::ptrdiff_t>(to)))
          << begin << " " << end;
    }
    // Remembered, and by a handle that knows nothing yet.
    for (const bool fresh : {false, true}) {
      const Result<Bytes> suffix = (fresh ? Open().get() : store.get())->GetSuffix(kName, begin);
      ASSERT_TRUE(suffix.ok()) << suffix.status().ToString();
      const std::uint64_t size = std::min<std::uint64_t>(begin, plain.size());
      EXPECT_TRUE(std::equal(suffix->begin(), suffix->end(),
                             plain.end() - static_cast<std::ptrdiff_t>(size), plain.end()))
          << begin;
    }
  }
}

// Counts the bytes that the store below is asked for.
class CountingStore final : public ObjectStore {
 public:
  explicit CountingStore(std::shared_ptr<MemoryObjects> objects) : inner_(std::move(objects)) {}
  Status Put(const std::string& n, ByteView b) override { return inner_.Put(n, b); }
  Result<std::unique_ptr<ObjectWriter>> Create(const std::string& n) override {
    return inner_.Create(n);
  }
  Result<Bytes> Get(const std::string& n, std::uint64_t m) override {
    return Count(inner_.Get(n, m));
  }
  Result<Bytes> GetRange(const std::string& n, std::uint64_t o, std::uint64_t s) override {
    return Count(inner_.GetRange(n, o, s));
  }
  Result<Bytes> GetSuffix(const std::string& n, std::uint64_t s) override {
    return Count(inner_.GetSuffix(n, s));
  }
  Result<ObjectStat> Stat(const std::string& n) override { return inner_.Stat(n); }
  Result<std::vector<ObjectStat>> List(const std::string& p, const std::string& a,
                                       std::size_t l) override {
    return inner_.List(p, a, l);
  }
  Result<std::vector<std::string>> ListParts(const std::string& p) override {
    return inner_.ListParts(p);
  }
  Status Remove(const std::string& n) override { return inner_.Remove(n); }
  Status CollectAbandoned(std::int64_t a) override { return inner_.CollectAbandoned(a); }
  std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
  std::string Describe() const override { return "counting"; }
  int reads = 0;
  std::uint64_t bytes = 0;

 private:
  Result<Bytes> Count(Result<Bytes> got) {
    reads++;
    bytes += got.ok() ? got->size() : 0;
    return got;
  }
  MemoryStore inner_;
};

TEST_F(EncryptedStoreTest, RangesStayRanges) {
  Put(kName, Content(64U << 20));
  auto counting = std::make_unique<CountingStore>(objects_);
  CountingStore* below = counting.get();
  EncryptedStore store(std::move(counting), key_, kRepository);
  ASSERT_TRUE(store.GetRange(kName, 40U << 20, 10).ok());
  EXPECT_EQ(below->reads, 2) << "the foot and a chunk";
  EXPECT_EQ(below->bytes, kFootSize + kStoredChunkSize);
  ASSERT_TRUE(store.GetRange(kName, 10U << 20, 1U << 20).ok());
  EXPECT_EQ(below->reads, 3) << "the foot is remembered";
  EXPECT_EQ(below->bytes, kFootSize + 17 * kStoredChunkSize);
  EncryptedStore again(std::make_unique<CountingStore>(objects_), key_, kRepository);
  below = static_cast<CountingStore*>(again.inner());
  ASSERT_TRUE(again.GetSuffix(kName, 64).ok());
  EXPECT_EQ(below->reads, 1) << "one read for the end of an object";
  EXPECT_LE(below->bytes, 2 * kStoredChunkSize);
}

TEST_F(EncryptedStoreTest, EveryFlippedByteIsNoticed) {
  const Bytes plain = Content(2 * kChunkSize + 100);
  Put(kName, plain);
  const Bytes right = Stored(kName);
  // Each byte of the foot, of the borders and of the last chunk; of the rest each 997th.
  for (std::size_t at = 0; at < right.size(); at++) {
    const std::size_t in_chunk = at % kStoredChunkSize;
    const bool is_border = in_chunk < 2 || in_chunk >= kStoredChunkSize - kTagSize - 1;
    if (at % 997 != 0 && !is_border && at < 2 * kStoredChunkSize) {
      continue;
    }
    Stored(kName) = right;
    Stored(kName)[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    ExpectDamaged("byte " + std::to_string(at), plain);
    if (HasFailure()) return;
  }
}

TEST_F(EncryptedStoreTest, EveryCutIsNoticed) {
  const Bytes plain = Content(3 * kChunkSize + 100);
  Put(kName, plain);
  const Bytes right = Stored(kName);
  const Bytes foot(right.end() - kFootSize, right.end());
  for (std::size_t chunk = 0; chunk <= 3; chunk++) {
    for (const std::size_t more : {0U, 1U, 16U, 17U}) {
      const auto size = static_cast<std::ptrdiff_t>(chunk * kStoredChunkSize + more);
      // Cut off, and with the foot set behind the cut.
      Stored(kName) = Bytes(right.begin(), right.begin() + size);
      ExpectDamaged("cut at " + std::to_string(size), plain);
      Stored(kName).insert(Stored(kName).end(), foot.begin(), foot.end());
      ExpectDamaged("joined at " + std::to_string(size), plain);
    }
    // A chunk taken out of the middle.
    Bytes without = right;
    const auto begin = without.begin() + static_cast<std::ptrdiff_t>(chunk * kStoredChunkSize);
    const auto left = static_cast<std::size_t>(without.end() - kFootSize - begin);
    without.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(left, kStoredChunkSize)));
    Stored(kName) = without;
    ExpectDamaged("without chunk " + std::to_string(chunk), plain);
  }
  // Something put before the foot: what ranges give is still right, and the whole is refused.
  Stored(kName) = right;
  Stored(kName).insert(Stored(kName).end() - kFootSize, 5, 0);
  ExpectDamaged("with more", plain, false);
}

// The foot says how long the object is: changed to fit a cut, it does not open.
TEST_F(EncryptedStoreTest, ACutToWhichTheFootIsFittedIsNoticed) {
  const Bytes plain = Content(3 * kChunkSize);
  Put(kName, plain);
  const Bytes right = Stored(kName);
  for (std::size_t chunks = 0; chunks < 3; chunks++) {
    Result<encrypted::Foot> foot =
        encrypted::DecodeFoot(ByteView(right).last(kFootSize), "the foot");
    ASSERT_TRUE(foot.ok());
    foot->plain_size = chunks * kChunkSize;
    Bytes cut(right.begin(),
              right.begin() + static_cast<std::ptrdiff_t>(chunks * kStoredChunkSize));
    const Bytes fitted = encrypted::EncodeFoot(*foot);
    cut.insert(cut.end(), fitted.begin(), fitted.end());
    Stored(kName) = cut;
    ASSERT_EQ(Open()->Stat(kName)->size, chunks * kChunkSize);
    ExpectDamaged("cut to " + std::to_string(chunks) + " chunks", plain);
  }
}

TEST_F(EncryptedStoreTest, ChunksKeepTheirPlaces) {
  const Bytes plain = Content(4 * kChunkSize);
  Put(kName, plain);
  const Bytes right = Stored(kName);
  for (std::size_t a = 0; a < 4; a++) {
    for (std::size_t b = a + 1; b < 4; b++) {
      Stored(kName) = right;
      Bytes& stored = Stored(kName);
      const auto at = [&](std::size_t chunk) {
        return stored.begin() + static_cast<std::ptrdiff_t>(chunk * kStoredChunkSize);
      };
      std::swap_ranges(at(a), at(a + 1), at(b));
      ExpectDamaged("chunks swapped", plain);
      Stored(kName) = right;
      std::copy(at(a), at(a + 1), at(b));
      ExpectDamaged("a chunk twice", plain);
    }
  }
}

TEST_F(EncryptedStoreTest, ObjectsKeepTheirNames) {
  const Bytes plain = Content(kChunkSize + 5);
  const std::string other = "packs/one/000002";
  Put(kName, plain);
  Put(other, plain);
  std::swap(Stored(kName), Stored(other));
  ExpectDamaged("two objects swapped", plain);
  EXPECT_EQ(Open()->Get(other, 1U << 20).status().code(), Code::kCorrupt);
  std::swap(Stored(kName), Stored(other));
  EXPECT_EQ(*Open()->Get(kName, 1U << 20), plain);
  // The foot of one on the chunks of the other, under either name.
  const Bytes right = Stored(kName);
  std::copy(Stored(other).end() - kFootSize, Stored(other).end(), Stored(kName).end() - kFootSize);
  ExpectDamaged("with the foot of another object", plain);
  // The name ends where it ends.
  Stored(kName) = right;
  objects_->objects["packs/one/00000"] = right;
  EXPECT_EQ(Open()->Get("packs/one/00000", 1U << 20).status().code(), Code::kCorrupt);
  EXPECT_EQ(*Open()->Get(kName, 1U << 20), plain);
}

TEST_F(EncryptedStoreTest, AFormerObjectOfTheNameDoesNotMixWithTheNewOne) {
  const Bytes plain = Content(2 * kChunkSize);
  Put(kName, plain);
  const Bytes former = Stored(kName);
  ASSERT_TRUE(Open()->Remove(kName).ok());
  Put(kName, plain);
  const Bytes right = Stored(kName);
  std::copy_n(former.begin(), kStoredChunkSize, Stored(kName).begin());
  ExpectDamaged("with a chunk of before", plain);
  Stored(kName) = right;
  std::copy(former.end() - kFootSize, former.end(), Stored(kName).end() - kFootSize);
  ExpectDamaged("with the foot of before", plain);
}

TEST_F(EncryptedStoreTest, OtherKeysAndRepositoriesOpenNothing) {
  const Bytes plain = Content(10);
  Put(kName, plain);
  const Status key = Open(*SecretKey::Random(), kRepository)->Get(kName, 100).status();
  EXPECT_EQ(key.code(), Code::kCorrupt);
  EXPECT_NE(key.message().find(key_.Id()), std::string::npos) << key.ToString();
  EXPECT_EQ(Open(key_, "another")->Get(kName, 100).status().code(), Code::kCorrupt);
  // An object that was never encrypted does not pass for one that was.
  objects_->objects[kName] = Content(1000);
  ExpectDamaged("a plain object", plain);
  objects_->objects[kName] = Bytes();
  ExpectDamaged("an empty object", plain);
}

// A name that is free again gets other content; whoever remembers the foot of before reads what is there now.
TEST_F(EncryptedStoreTest, WhatIsRememberedOfANameIsNotTrusted) {
  const std::unique_ptr<EncryptedStore> reader = Open();
  for (const std::size_t size : {100U, 200U, 50U, 100000U, 0U, 10U}) {
    ASSERT_TRUE(Open()->Remove(kName).ok());
    const Bytes plain(size, static_cast<std::uint8_t>(size));
    Put(kName, plain);
    EXPECT_EQ(*reader->GetRange(kName, 0, 1U << 20), plain);
    EXPECT_EQ(*reader->GetSuffix(kName, 1U << 20), plain);
    EXPECT_EQ(*reader->GetSuffix(kName, 5),
              Bytes(std::min<std::size_t>(5, size), plain.empty() ? 0 : plain[0]));
  }
  ASSERT_TRUE(Open()->Remove(kName).ok());
  EXPECT_EQ(reader->GetRange(kName, 0, 5).status().code(), Code::kNotFound);
  EXPECT_EQ(reader->GetRange(kName, 1U << 20, 5).status().code(), Code::kNotFound);
  EXPECT_EQ(reader->GetSuffix(kName, 5).status().code(), Code::kNotFound);
}

// Errors of the store below stay what they are: "could not ask" is not "damaged".
TEST_F(EncryptedStoreTest, ErrorsBelowAreNoDamage) {
  Put(kName, Content(kChunkSize + 1));
  for (int at = 0; at < 2; at++) {
    MemoryStore inner(objects_);
    EncryptedStore store(
        std::make_unique<FaultStore>(
            &inner, FaultStore::Plan{FaultStore::kDieBefore, at, Code::kUnavailable}),
        key_, kRepository);
    EXPECT_EQ(store.GetRange(kName, 0, 10).status().code(), Code::kUnavailable);
    EXPECT_EQ(store.Get(kName, 10).status().code(), Code::kUnavailable);
  }
}

// -- golden file ---------------------------------------------------------------------------------

TEST_F(EncryptedStoreTest, ReadsTheFirstVersion) {
  const std::string path = std::string(PITR_TEST_DIR) + "/golden/encrypted/v1.bin";
  const Result<Bytes> golden = ReadFile(path, 1U << 20);
  ASSERT_TRUE(golden.ok()) << golden.status().ToString();
  Bytes master(kKeySize);
  for (std::size_t i = 0; i < master.size(); i++) {
    master[i] = static_cast<std::uint8_t>(i);
  }
  objects_->objects["some/object"] = *golden;
  const Result<Bytes> plain =
      Open(SecretKey(master), "5a1f0c3be2d94f7c8a6be01d27c3f590")->Get("some/object", 1000);
  ASSERT_TRUE(plain.ok()) << plain.status().ToString();
  EXPECT_EQ(AsText(*plain), "pitr_ext keeps what was.\n");
}

}  // namespace
}  // namespace pitr
