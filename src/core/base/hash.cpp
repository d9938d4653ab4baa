// XXH3 from libxxhash, SHA-256 from libcrypto, hex, and the kernel's random source. CRC-32C is in
// crc32c.cpp.
#define OPENSSL_SUPPRESS_DEPRECATED  // see Sha256
#define XXH_STATIC_LINKING_ONLY      // the layout of XXH3_state_t, to let C++ allocate it
#include "core/base/hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>
#include <xxhash.h>

#include <cerrno>

namespace pitr {

std::uint64_t Xxh3(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// Not XXH3_createState(): that answers null when memory is short, and a constructor cannot say so.
Xxh3Stream::Xxh3Stream() : state_(new XXH3_state_t) {
  XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_));
}

Xxh3Stream::~Xxh3Stream() { delete static_cast<XXH3_state_t*>(state_); }

void Xxh3Stream::Update(ByteView bytes) {
  if (!bytes.empty()) {
    XXH3_64bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
  }
}

std::uint64_t Xxh3Stream::Digest() const {
  return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_));
}

// The old three calls on purpose: they neither allocate nor look up a provider, so they cannot fail.
// EVP_Digest can, and a digest of zeros would make different contents look the same.
std::array<std::uint8_t, 32> Sha256(ByteView bytes) {
  std::array<std::uint8_t, 32> digest;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

std::string ToHex(ByteView bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 0xF]);
  }
  return text;
}

namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

}  // namespace

// The text itself stays out of the errors: keys are read through here.
Result<Bytes> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return Status(Code::kInvalidText, "hexadecimal text has an odd number of digits");
  }
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = HexValue(text[i]);
    const int low = HexValue(text[i + 1]);
    if (high < 0 || low < 0) {
      return Status(Code::kInvalidText, "hexadecimal text has a character that is no digit");
    }
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return bytes;
}

void Wipe(void* bytes, std::size_t size) noexcept { OPENSSL_cleanse(bytes, size); }

Result<Bytes> RandomBytes(std::size_t size) {
  Bytes bytes(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::getrandom(bytes.data() + filled, size - filled, 0);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return Status::FromErrno(errno, "read the kernel's random source");
    }
    filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace pitr
