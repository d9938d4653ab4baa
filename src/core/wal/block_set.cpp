#include "core/wal/block_set.h"

#include <algorithm>

namespace pitr::wal {

namespace {

// 16,384 words of 8 bytes are 128 KiB: they stay in the second-level cache. pgbench writes some 120,000
// references to a segment of 16 MiB, to 10,000 blocks: an exact set would be larger and slower, and what
// slips through is sorted away at the end.
constexpr unsigned kRecentBits = 14;
constexpr std::size_t kFirstSlots = 256;
constexpr std::uint64_t kNothing = ~std::uint64_t{0};

std::uint64_t Mix(std::uint64_t v) {
  v *= 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio
  return v ^ (v >> 32);
}

std::uint64_t HashOf(const RelFork& r) {
  return Mix((std::uint64_t{r.relation} << 8 | r.fork) ^
             Mix(std::uint64_t{r.database} << 32 | r.tablespace));
}

}  // namespace

BlockSet::BlockSet() : slots_(kFirstSlots, 0), recent_(std::size_t{1} << kRecentBits, kNothing) {}

void BlockSet::GrowSlots() {
  std::vector<std::uint32_t> larger(slots_.size() * 2, 0);
  const std::size_t mask = larger.size() - 1;
  for (std::uint32_t number = 0; number < relations_.size(); number++) {
    std::size_t at = HashOf(relations_[number]) & mask;
    while (larger[at] != 0) {
      at = (at + 1) & mask;
    }
    larger[at] = number + 1;
  }
  slots_ = std::move(larger);
}

std::uint32_t BlockSet::Number(const RelFork& relation) {
  if (last_number_ < relations_.size() && relations_[last_number_] == relation) {
    return last_number_;
  }
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = HashOf(relation) & mask;
  while (slots_[at] != 0) {
    if (relations_[slots_[at] - 1] == relation) {
      last_number_ = slots_[at] - 1;
      return last_number_;
    }
    at = (at + 1) & mask;
  }
  last_number_ = static_cast<std::uint32_t>(relations_.size());
  slots_[at] = last_number_ + 1;
  relations_.push_back(relation);
  if (relations_.size() * 2 > slots_.size()) {
    GrowSlots();
  }
  return last_number_;
}

void BlockSet::Add(const RelFork& relation, std::uint32_t block) {
  const std::uint64_t word = std::uint64_t{Number(relation)} << 32 | block;
  std::uint64_t& recent = recent_[Mix(word) >> (64 - kRecentBits)];
  if (recent != word) {
    recent = word;
    blocks_.push_back(word);
  }
}

std::map<RelFork, std::vector<std::uint32_t>> BlockSet::Take() {
  std::sort(blocks_.begin(), blocks_.end());
  blocks_.erase(std::unique(blocks_.begin(), blocks_.end()), blocks_.end());
  std::map<RelFork, std::vector<std::uint32_t>> sorted;
  for (std::size_t begin = 0; begin < blocks_.size();) {
    const std::uint64_t number = blocks_[begin] >> 32;
    std::size_t end = begin;
    while (end < blocks_.size() && blocks_[end] >> 32 == number) {
      end++;
    }
    std::vector<std::uint32_t>& list = sorted[relations_[number]];
    list.reserve(end - begin);
    for (; begin < end; begin++) {
      list.push_back(static_cast<std::uint32_t>(blocks_[begin]));
    }
  }
  *this = BlockSet();
  return sorted;
}

}  // namespace pitr::wal
