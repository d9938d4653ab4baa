// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78): with the CPU's instruction where it is there,
// with eight tables of 256 entries ("slicing by 8") elsewhere. Debian 12 has no library for it.
#include <cstring>

#include "core/base/hash.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace pitr {

namespace {

struct Tables {
  std::uint32_t entry[8][256];
};

constexpr Tables MakeTables() {
  Tables tables = {};
  for (std::uint32_t i = 0; i < 256; i++) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    }
    tables.entry[0][i] = crc;
  }
  // entry[k][i]: the effect of byte i followed by k zero bytes.
  for (std::size_t k = 1; k < 8; k++) {
    for (std::size_t i = 0; i < 256; i++) {
      const std::uint32_t crc = tables.entry[k - 1][i];
      tables.entry[k][i] = (crc >> 8) ^ tables.entry[0][crc & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

std::uint32_t CompWithTables(std::uint32_t crc, const std::uint8_t* p, std::size_t size) {
  const auto& t = kTables.entry;
  for (; size >= 8; size -= 8, p += 8) {
    crc ^= static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
           static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
    crc = t[7][crc & 0xFF] ^ t[6][(crc >> 8) & 0xFF] ^ t[5][(crc >> 16) & 0xFF] ^ t[4][crc >> 24] ^
          t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
  }
  for (; size > 0; size--, p++) {
    crc = (crc >> 8) ^ t[0][(crc ^ *p) & 0xFF];
  }
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t CompWithSse42(std::uint32_t crc,
                                                              const std::uint8_t* p,
                                                              std::size_t size) {
  std::uint64_t wide = crc;
  for (; size >= 8; size -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; size > 0; size--, p++) {
    crc = _mm_crc32_u8(crc, *p);
  }
  return crc;
}
#endif

}  // namespace

std::uint32_t Crc32cComp(std::uint32_t crc, ByteView bytes) {
#if defined(__x86_64__)
  // Reads a word that the C runtime filled at start; no need to remember the answer ourselves.
  if (__builtin_cpu_supports("sse4.2")) {
    return CompWithSse42(crc, bytes.data(), bytes.size());
  }
#endif
  return CompWithTables(crc, bytes.data(), bytes.size());
}

std::uint32_t Crc32cCompPortable(std::uint32_t crc, ByteView bytes) {
  return CompWithTables(crc, bytes.data(), bytes.size());
}

}  // namespace pitr
