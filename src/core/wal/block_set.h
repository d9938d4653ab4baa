// The set of blocks that records name, built at the speed of the reader: no allocation per record, and
// most repetitions (a hot page is named by record after record) are dropped before they are stored.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/wal/index.h"

namespace pitr::wal {

class BlockSet {
 public:
  BlockSet();
  void Add(const RelFork& relation, std::uint32_t block);
  // Sorted and unique; the set is empty afterwards.
  std::map<RelFork, std::vector<std::uint32_t>> Take();

 private:
  std::uint32_t Number(const RelFork& relation);
  void GrowSlots();

  // A relation fork gets a number when first seen; a block is that number and its own in one word.
  std::vector<RelFork> relations_;
  std::vector<std::uint32_t> slots_;   // open addressing: number + 1, 0 is free
  std::uint32_t last_number_ = 0;      // records come in runs of one relation
  std::vector<std::uint64_t> blocks_;  // with some repetitions
  std::vector<std::uint64_t> recent_;  // what was stored last under this hash
};

}  // namespace pitr::wal
