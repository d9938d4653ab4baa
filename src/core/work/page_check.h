// Data page checksums as the server computes them.
#pragma once

#include <cstdint>

#include "core/repo/manifest.h"
#include "core/types/lsn.h"

namespace pitr {

// Of kPageSize bytes; `block` counts from the start of the relation fork, over its segment files.
// REQUIRES: page is aligned to 4 bytes.
std::uint16_t PageChecksum(const std::uint8_t* page, std::uint32_t block);
std::uint16_t PageChecksumPortable(const std::uint8_t* page,
                                   std::uint32_t block);  // without AVX2; for tests

bool IsZeroPage(const std::uint8_t* bytes, std::size_t size);
Lsn PageLsn(const std::uint8_t* page);

// False when the page is damaged as far as can be known: zero pages are fine, pages changed at or after `start_lsn`
// may be torn and are not judged (their full images are in WAL).
bool IsPageFine(const std::uint8_t* page, std::uint32_t block, Lsn start_lsn);

}  // namespace pitr
