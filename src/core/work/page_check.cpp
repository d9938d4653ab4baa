// The checksum of src/include/storage/checksum_impl.h (15; unchanged to 18): a page is 64 rows of 32 words,
// each column is hashed by itself in the manner of FNV-1a, which is what makes the loop vectorise, and the 32
// hashes are folded. The checksum's own field counts as zero, the block number is mixed in at the end.
#include "core/work/page_check.h"

#include <cstring>

namespace pitr {

namespace {

constexpr std::size_t kColumns = 32;
constexpr std::size_t kRows = kPageSize / (kColumns * sizeof(std::uint32_t));
constexpr std::uint32_t kPrime = 16777619;
// PageHeaderData, src/include/storage/bufpage.h: pd_lsn (two words, high first), pd_checksum, …, pd_upper
constexpr std::size_t kChecksumOffset = 8, kUpperOffset = 14;

// Different start values for the columns, given by the format (checksumBaseOffsets).
constexpr std::uint32_t kBasis[kColumns] = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

template <typename T>
T Load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Inlined into one function per instruction set.
[[gnu::always_inline]] inline std::uint32_t HashPage(const std::uint8_t* page) {
  std::uint32_t sums[kColumns];
  std::memcpy(sums, kBasis, sizeof sums);
  for (std::size_t row = 0; row < kRows; row++) {
    std::uint32_t words[kColumns];
    std::memcpy(words, page + row * sizeof words, sizeof words);
    if (row == 0) {
      words[kChecksumOffset / 4] &= 0xFFFF0000U;  // pd_checksum is the low half: little-endian
    }
    for (std::size_t i = 0; i < kColumns; i++) {
      const std::uint32_t mixed = sums[i] ^ words[i];
      sums[i] = mixed * kPrime ^ (mixed >> 17);
    }
  }
  // Two rounds of zeroes, so that the last row is mixed as well as the others.
  for (int round = 0; round < 2; round++) {
    for (std::uint32_t& sum : sums) {
      sum = sum * kPrime ^ (sum >> 17);
    }
  }
  std::uint32_t folded = 0;
  for (const std::uint32_t sum : sums) {
    folded ^= sum;
  }
  return folded;
}

// 16 bits, never zero.
std::uint16_t Reduce(std::uint32_t hash, std::uint32_t block) {
  return static_cast<std::uint16_t>((hash ^ block) % 65535 + 1);
}

#if defined(__x86_64__)
// -O3 for this loop alone: g++ 12 vectorises it only there.
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((target("avx2"), optimize("O3")))
#else
__attribute__((target("avx2")))
#endif
std::uint32_t
HashPageAvx2(const std::uint8_t* page) {
  return HashPage(page);
}
#endif

}  // namespace

std::uint16_t PageChecksumPortable(const std::uint8_t* page, std::uint32_t block) {
  return Reduce(HashPage(page), block);
}

std::uint16_t PageChecksum(const std::uint8_t* page, std::uint32_t block) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    return Reduce(HashPageAvx2(page), block);
  }
#endif
  return PageChecksumPortable(page, block);
}

bool IsZeroPage(const std::uint8_t* bytes, std::size_t size) {
  // Equal to itself moved by one byte: every byte is the first one. memcmp ends at the first difference.
  return size == 0 || (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0);
}

Lsn PageLsn(const std::uint8_t* page) {
  return {std::uint64_t{Load<std::uint32_t>(page)} << 32 | Load<std::uint32_t>(page + 4)};
}

bool IsPageFine(const std::uint8_t* page, std::uint32_t block, Lsn start_lsn) {
  if (Load<std::uint16_t>(page + kUpperOffset) == 0) {
    // PageIsNew: never initialised, so nothing but zeroes may be in it (PageIsVerified, bufpage.c).
    return IsZeroPage(page, kPageSize);
  }
  if (start_lsn.valid() && PageLsn(page) >= start_lsn) {
    return true;
  }
  return PageChecksum(page, block) == Load<std::uint16_t>(page + kChecksumOffset);
}

}  // namespace pitr
