// AES-256-GCM, the only cipher of repositories, and the keys for it. The one place that calls libcrypto for encryption.
//
// Nonce rules. GCM is broken by one nonce used twice under one key with different contents, so each kind of key has one rule, and no
// key ever serves two:
//
//   data key          One for each object that is written, random, never written down but wrapped. Its nonces are the numbers of the
//                     chunks, from 0 on (CounterNonce). Each chunk is sealed once: an object is written front to back by one
//                     writer, and what is sent again after an error is the same sealed bytes. A writer that begins anew, for
//                     the same name too, begins with a new data key.
//   master key        Wraps data keys, one for each object of the repository, under random nonces of 96 bits (RandomNonce). By
//                     the birthday bound 2^32 objects leave a chance of 2^-33 for a nonce used twice (NIST SP 800-38D, 8.3, stops
//                     there); one object a second makes that many in 136 years.
//   repository key    Wraps the master key, once for each change of keys, under random nonces as well.
//
// What is wrapped says where it belongs in its associated data: a wrapped key that is moved elsewhere does not open.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr {

inline constexpr std::size_t kKeySize = 32, kNonceSize = 12, kTagSize = 16;
// What a key takes when it is wrapped.
inline constexpr std::size_t kWrappedKeySize = kKeySize + kTagSize;

using Nonce = std::array<std::uint8_t, kNonceSize>;

// Wiped when it goes. Has no text form on purpose: people are told key ids.
class SecretKey {
 public:
  SecretKey() = default;
  // REQUIRES: kKeySize bytes.
  explicit SecretKey(ByteView bytes);
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey();

  static Result<SecretKey> Random();

  const std::array<std::uint8_t, kKeySize>& bytes() const { return bytes_; }
  std::array<std::uint8_t, kKeySize>& bytes() { return bytes_; }
  // 16 hexadecimal digits of a hash: tells keys apart and says nothing about them.
  std::string Id() const;

 private:
  std::array<std::uint8_t, kKeySize> bytes_ = {};
};

Nonce CounterNonce(std::uint64_t number);
Result<Nonce> RandomNonce();

// One key, set up once for many pieces. One thread at a time.
class AesGcm {
 public:
  enum class Use { kSeal, kOpen };
  static Result<std::unique_ptr<AesGcm>> Create(const SecretKey& key, Use use);
  ~AesGcm();
  AesGcm(const AesGcm&) = delete;
  AesGcm& operator=(const AesGcm&) = delete;

  // Writes plain.size() + kTagSize bytes. REQUIRES: Use::kSeal; the nonce was not used with this key; a piece below 2 GiB.
  Status Seal(const Nonce& nonce, ByteView associated, ByteView plain, std::uint8_t* out);
  // Writes sealed.size() - kTagSize bytes. False, and what was written is wiped, when the tag does not agree: another key, nonce,
  // associated data, or changed bytes. REQUIRES: Use::kOpen; `out` is sealed.data() or does not overlap with it.
  Result<bool> Open(const Nonce& nonce, ByteView associated, ByteView sealed, std::uint8_t* out);

 private:
  explicit AesGcm(void* context) : context_(context) {}
  void* context_;  // EVP_CIPHER_CTX
};

// A key under a key.
struct WrappedKey {
  Nonce nonce = {};
  std::array<std::uint8_t, kWrappedKeySize> sealed = {};
};
Result<WrappedKey> WrapKey(const SecretKey& with, ByteView associated, const SecretKey& key);
// Nothing when it was not wrapped so.
Result<std::optional<SecretKey>> UnwrapKey(const SecretKey& with, ByteView associated,
                                           const WrappedKey& wrapped);

}  // namespace pitr
