#include "core/codec/cipher.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>

#include "core/base/hash.h"

namespace pitr {

namespace {

EVP_CIPHER_CTX* ContextOf(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

// Only for want of memory or of the cipher itself. libcrypto's own words stay in its queue, which is emptied: nobody else of this
// process shall find them.
Status Failed(const char* step) {
  ERR_clear_error();
  return Status(Code::kInternal, std::string("libcrypto could not ") + step + " with AES-256-GCM");
}

// EVP's calls take sizes as int.
constexpr std::size_t kMaxPiece = 1U << 30;

}  // namespace

SecretKey::SecretKey(ByteView bytes) { std::copy_n(bytes.begin(), kKeySize, bytes_.begin()); }

SecretKey::~SecretKey() { Wipe(bytes_.data(), bytes_.size()); }

Result<SecretKey> SecretKey::Random() {
  PITR_ASSIGN_OR_RETURN(Bytes random, RandomBytes(kKeySize));
  const SecretKey key(random);
  Wipe(random.data(), random.size());
  return key;
}

// The words before the key keep this hash from being one that is used for anything else.
std::string SecretKey::Id() const {
  constexpr std::string_view kWords = "pitr_ext key id";
  std::array<std::uint8_t, kWords.size() + kKeySize> hashed;
  std::copy(kWords.begin(), kWords.end(), hashed.begin());
  std::copy(bytes_.begin(), bytes_.end(), hashed.begin() + kWords.size());
  const std::array<std::uint8_t, 32> hash = Sha256(hashed);
  Wipe(hashed.data(), hashed.size());
  return ToHex(ByteView(hash).first(8));
}

Nonce CounterNonce(std::uint64_t number) {
  Nonce nonce = {};
  for (std::size_t i = 0; i < sizeof number; i++) {
    nonce[i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return nonce;
}

Result<Nonce> RandomNonce() {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(kNonceSize));
  Nonce nonce;
  std::copy(random.begin(), random.end(), nonce.begin());
  return nonce;
}

Result<std::unique_ptr<AesGcm>> AesGcm::Create(const SecretKey& key, Use use) {
  std::unique_ptr<AesGcm> cipher(new AesGcm(EVP_CIPHER_CTX_new()));
  if (cipher->context_ == nullptr ||
      EVP_CipherInit_ex(ContextOf(cipher->context_), EVP_aes_256_gcm(), nullptr, key.bytes().data(),
                        nullptr, use == Use::kSeal ? 1 : 0) != 1) {
    return Failed("set up a key");
  }
  return cipher;
}

// Wipes the key schedule as well.
AesGcm::~AesGcm() { EVP_CIPHER_CTX_free(ContextOf(context_)); }

Status AesGcm::Seal(const Nonce& nonce, ByteView associated, ByteView plain, std::uint8_t* out) {
  EVP_CIPHER_CTX* const context = ContextOf(context_);
  int written = 0;
  if (plain.size() > kMaxPiece || associated.size() > kMaxPiece ||
      EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) != 1) {
    return Failed("begin to encrypt");
  }
  if (!associated.empty() && EVP_EncryptUpdate(context, nullptr, &written, associated.data(),
                                               static_cast<int>(associated.size())) != 1) {
    return Failed("authenticate");
  }
  if (!plain.empty() && EVP_EncryptUpdate(context, out, &written, plain.data(),
                                          static_cast<int>(plain.size())) != 1) {
    return Failed("encrypt");
  }
  std::uint8_t* const end = out + plain.size();
  if (EVP_EncryptFinal_ex(context, end, &written) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTagSize, end) != 1) {
    return Failed("finish to encrypt");
  }
  return Status::Ok();
}

Result<bool> AesGcm::Open(const Nonce& nonce, ByteView associated, ByteView sealed,
                          std::uint8_t* out) {
  EVP_CIPHER_CTX* const context = ContextOf(context_);
  if (sealed.size() < kTagSize) {
    return false;
  }
  const ByteView text = sealed.first(sealed.size() - kTagSize);
  std::array<std::uint8_t, kTagSize> tag;
  std::copy(sealed.end() - kTagSize, sealed.end(), tag.begin());
  int written = 0;
  if (text.size() > kMaxPiece || associated.size() > kMaxPiece ||
      EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) != 1) {
    return Failed("begin to decrypt");
  }
  if (!associated.empty() && EVP_DecryptUpdate(context, nullptr, &written, associated.data(),
                                               static_cast<int>(associated.size())) != 1) {
    return Failed("authenticate");
  }
  if (!text.empty() &&
      EVP_DecryptUpdate(context, out, &written, text.data(), static_cast<int>(text.size())) != 1) {
    return Failed("decrypt");
  }
  std::uint8_t none[kTagSize];
  if (EVP_DecryptFinal_ex(context, none, &written) != 1) {
    Wipe(out, text.size());
    ERR_clear_error();
    return false;
  }
  return true;
}

Result<WrappedKey> WrapKey(const SecretKey& with, ByteView associated, const SecretKey& key) {
  WrappedKey wrapped;
  PITR_ASSIGN_OR_RETURN(wrapped.nonce, RandomNonce());
  PITR_ASSIGN_OR_RETURN(const auto cipher, AesGcm::Create(with, AesGcm::Use::kSeal));
  PITR_RETURN_IF_ERROR(cipher->Seal(wrapped.nonce, associated, key.bytes(), wrapped.sealed.data()));
  return wrapped;
}

Result<std::optional<SecretKey>> UnwrapKey(const SecretKey& with, ByteView associated,
                                           const WrappedKey& wrapped) {
  PITR_ASSIGN_OR_RETURN(const auto cipher, AesGcm::Create(with, AesGcm::Use::kOpen));
  SecretKey key;
  PITR_ASSIGN_OR_RETURN(const bool is_right, cipher->Open(wrapped.nonce, associated, wrapped.sealed,
                                                          key.bytes().data()));
  return is_right ? std::optional<SecretKey>(key) : std::nullopt;
}

}  // namespace pitr
