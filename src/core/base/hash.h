// Hashes with a role each: XXH3 finds damage, SHA-256 decides identity, CRC-32C is what WAL and
// pg_control carry, hex and random ids are here because they serve the same callers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr {

std::uint64_t Xxh3(ByteView bytes);

// Streaming XXH3-64; equal to Xxh3() over the concatenation.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;
  void Update(ByteView bytes);
  std::uint64_t Digest() const;

 private:
  void* state_;
};

std::array<std::uint8_t, 32> Sha256(ByteView bytes);

// CRC-32C as PostgreSQL uses it (src/include/port/pg_crc32c.h): INIT 0xFFFFFFFF, COMP, FIN xor.
// SSE4.2 where the CPU has it, a table elsewhere.
inline constexpr std::uint32_t kCrc32cInit = 0xFFFFFFFFU;
std::uint32_t Crc32cComp(std::uint32_t crc, ByteView bytes);
std::uint32_t Crc32cCompPortable(std::uint32_t crc, ByteView bytes);  // the table; for tests
inline std::uint32_t Crc32cFin(std::uint32_t crc) { return crc ^ 0xFFFFFFFFU; }

std::string ToHex(ByteView bytes);             // lower case
Result<Bytes> FromHex(std::string_view text);  // strict: even length, [0-9a-fA-F]

// Overwrites a secret that is done with; no compiler leaves it out.
void Wipe(void* bytes, std::size_t size) noexcept;

// `size` bytes from the kernel's random source; kIo when it fails.
Result<Bytes> RandomBytes(std::size_t size);

}  // namespace pitr
