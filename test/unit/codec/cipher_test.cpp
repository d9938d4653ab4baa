#include "core/codec/cipher.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/hash.h"

namespace pitr {
namespace {

Bytes Hex(std::string_view text) {
  const Result<Bytes> bytes = FromHex(text);
  EXPECT_TRUE(bytes.ok()) << text;
  return *bytes;
}

Nonce NonceOf(std::string_view text) {
  const Bytes bytes = Hex(text);
  Nonce nonce = {};
  std::copy(bytes.begin(), bytes.end(), nonce.begin());
  return nonce;
}

// Test cases 13 to 16 of "The Galois/Counter Mode of Operation" as it was submitted to NIST (McGrew and Viega).
struct Vector {
  std::string_view key, nonce, associated, plain, cipher, tag;
};
constexpr std::string_view kZeroKey =
    "0000000000000000000000000000000000000000000000000000000000000000";
constexpr std::string_view kZeroNonce = "000000000000000000000000";
constexpr std::string_view kKey =
    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
constexpr std::string_view kNonce = "cafebabefacedbaddecaf888";
constexpr Vector kVectors[] = {
    {kZeroKey, kZeroNonce, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kZeroKey, kZeroNonce, "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {kKey, kNonce, "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {kKey, kNonce, "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(AesGcmTest, AgreesWithThePublishedVectors) {
  for (const Vector& one : kVectors) {
    const SecretKey key(Hex(one.key));
    const Bytes plain = Hex(one.plain), associated = Hex(one.associated);
    Bytes expected = Hex(one.cipher);
    const Bytes tag = Hex(one.tag);
    expected.insert(expected.end(), tag.begin(), tag.end());

    Bytes sealed(plain.size() + kTagSize);
    const auto seal = *AesGcm::Create(key, AesGcm::Use::kSeal);
    ASSERT_TRUE(seal->Seal(NonceOf(one.nonce), associated, plain, sealed.data()).ok());
    EXPECT_EQ(ToHex(sealed), ToHex(expected));

    Bytes opened(plain.size() + 1);
    const auto open = *AesGcm::Create(key, AesGcm::Use::kOpen);
    const Result<bool> is_right = open->Open(NonceOf(one.nonce), associated, sealed, opened.data());
    ASSERT_TRUE(is_right.ok());
    EXPECT_TRUE(*is_right);
    opened.pop_back();
    EXPECT_EQ(opened, plain);
  }
}

// One context for many pieces, as the store uses it.
TEST(AesGcmTest, PiecesDoNotDisturbEachOther) {
  const SecretKey key(Hex(kKey));
  const auto seal = *AesGcm::Create(key, AesGcm::Use::kSeal);
  const auto open = *AesGcm::Create(key, AesGcm::Use::kOpen);
  const Bytes associated = {1, 2, 3};
  for (std::uint64_t number = 0; number < 20; number++) {
    const Bytes plain(number * 777, static_cast<std::uint8_t>(number));
    Bytes sealed(plain.size() + kTagSize), opened(plain.size());
    const ByteView with = number % 2 == 0 ? ByteView(associated) : ByteView();
    ASSERT_TRUE(seal->Seal(CounterNonce(number), with, plain, sealed.data()).ok());
    Bytes alone(sealed.size());
    const auto fresh = *AesGcm::Create(key, AesGcm::Use::kSeal);
    ASSERT_TRUE(fresh->Seal(CounterNonce(number), with, plain, alone.data()).ok());
    EXPECT_EQ(sealed, alone);
    // A refusal between two pieces leaves nothing behind.
    EXPECT_FALSE(*open->Open(CounterNonce(number + 1), with, sealed, opened.data()));
    EXPECT_TRUE(*open->Open(CounterNonce(number), with, sealed, opened.data()));
    EXPECT_EQ(opened, plain);
  }
}

TEST(AesGcmTest, AnyChangeIsNoticedAndNothingIsGivenOut) {
  const SecretKey key(Hex(kKey));
  const Bytes plain = Hex("00112233445566778899"), associated = {7, 8};
  Bytes sealed(plain.size() + kTagSize);
  const auto seal = *AesGcm::Create(key, AesGcm::Use::kSeal);
  ASSERT_TRUE(seal->Seal(CounterNonce(0), associated, plain, sealed.data()).ok());
  const auto open = *AesGcm::Create(key, AesGcm::Use::kOpen);
  const auto refused = [&](ByteView bytes, ByteView with, const Nonce& nonce) {
    Bytes out(plain.size(), 0xAA);
    const Result<bool> is_right = open->Open(nonce, with, bytes, out.data());
    const bool is_wiped = bytes.size() != sealed.size() || out == Bytes(plain.size());
    return is_right.ok() && !*is_right && is_wiped;
  };
  for (std::size_t bit = 0; bit < sealed.size() * 8; bit++) {
    Bytes changed = sealed;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_TRUE(refused(changed, associated, CounterNonce(0))) << bit;
  }
  for (std::size_t size = 0; size < sealed.size(); size++) {
    EXPECT_TRUE(refused(ByteView(sealed).first(size), associated, CounterNonce(0))) << size;
  }
  EXPECT_TRUE(refused(sealed, {}, CounterNonce(0)));
  EXPECT_TRUE(refused(sealed, associated, CounterNonce(1)));
  EXPECT_TRUE(refused(sealed, associated, CounterNonce(1ULL << 56)));
}

TEST(SecretKeyTest, IdsTellKeysApartAndSayNothingOfThem) {
  const SecretKey zero(Hex(kZeroKey)), other(Hex(kKey));
  EXPECT_EQ(zero.Id().size(), 16U);
  EXPECT_NE(zero.Id(), other.Id());
  EXPECT_EQ(other.Id(), SecretKey(Hex(kKey)).Id());
  EXPECT_EQ(std::string(kKey).find(other.Id()), std::string::npos);
  // Not the plain hash of the key, which somebody may have published for another purpose.
  EXPECT_NE(ToHex(Sha256(Hex(kKey))).substr(0, 16), other.Id());
  // Written down in repositories: never changes.
  EXPECT_EQ(
      zero.Id(),
      ToHex(Sha256(Hex(ToHex(AsBytes("pitr_ext key id")) + std::string(kZeroKey)))).substr(0, 16));
}

TEST(SecretKeyTest, RandomKeysAndNoncesDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; i++) {
    seen.insert(ToHex(SecretKey::Random()->bytes()));
    seen.insert(ToHex(*RandomNonce()));
    seen.insert(ToHex(CounterNonce(static_cast<std::uint64_t>(i))));
  }
  EXPECT_EQ(seen.size(), 300U);
}

TEST(WrapKeyTest, OpensOnlyWhereItBelongs) {
  const SecretKey with = *SecretKey::Random(), key = *SecretKey::Random();
  const Bytes place = {1, 2, 3};
  const WrappedKey wrapped = *WrapKey(with, place, key);
  const auto opened = *UnwrapKey(with, place, wrapped);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->bytes(), key.bytes());
  EXPECT_FALSE(UnwrapKey(key, place, wrapped)->has_value());
  EXPECT_FALSE(UnwrapKey(with, {}, wrapped)->has_value());
  EXPECT_NE(WrapKey(with, place, key)->nonce, wrapped.nonce);
  WrappedKey changed = wrapped;
  changed.sealed[0] ^= 1;
  EXPECT_FALSE(UnwrapKey(with, place, changed)->has_value());
  changed = wrapped;
  changed.nonce[11] ^= 1;
  EXPECT_FALSE(UnwrapKey(with, place, changed)->has_value());
}

}  // namespace
}  // namespace pitr
