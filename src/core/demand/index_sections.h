// What reader and writer of the index share.
#pragma once

#include "core/demand/index.h"

namespace pitr::demand {

inline constexpr char kIndexMagic[8] = {'P', 'I', 'T', 'R', 'D', 'I', 'D', 'X'};
inline constexpr std::uint32_t kIndexVersion = 1;

// Where each section begins.
struct Sections {
  std::uint64_t places = 0, packs = 0, frames = 0, files = 0, runs = 0, slots = 0, names = 0;
};
Sections SectionsOf(const IndexHeader& header);

}  // namespace pitr::demand
