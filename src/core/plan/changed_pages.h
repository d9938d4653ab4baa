// What the WAL of a range changed in relation files, as its indexes tell: the question of an increment.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/plan/line_history.h"

namespace pitr {

// Numbers of pages; a bit each, up to the largest: 16 MiB for a relation of a tebibyte.
class PageSet {
 public:
  void Add(std::uint32_t page) {
    const std::size_t word = page / 64;
    if (word >= words_.size()) {
      words_.resize(word + 1);
    }
    words_[word] |= std::uint64_t{1} << (page % 64);
  }
  bool Contains(std::uint32_t page) const {
    const std::size_t word = page / 64;
    return word < words_.size() && (words_[word] >> (page % 64) & 1) != 0;
  }
  // Of [begin, end), ascending.
  template <typename Function>
  void Visit(std::uint64_t begin, std::uint64_t end, const Function& visit) const {
    for (std::uint64_t at = begin; at < end && at / 64 < words_.size();) {
      const std::uint64_t rest = words_[at / 64] >> (at % 64);
      if (rest == 0) {
        at = (at / 64 + 1) * 64;
        continue;
      }
      at += static_cast<std::uint64_t>(std::countr_zero(rest));
      if (at < end) {
        visit(static_cast<std::uint32_t>(at++));
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
};

// Of main forks alone: cleared bits of the visibility map have no block reference in 15, 16 and older minors of 17 and 18, and the free
// space map is not logged at all (internals 1), so that no index can speak for the other forks.
struct ChangedPages {
  std::map<wal::RelFork, PageSet> blocks;
  std::map<wal::RelFork, std::uint32_t> truncated;  // the least length that it was cut to
  // Dropped or created in the range: what was in a file of that name before does not count.
  std::set<wal::RelFork> remade;
  std::set<std::pair<std::uint32_t, std::uint32_t>> databases;  // (tablespace, database): the same

  bool IsRemade(const wal::RelFork& relation) const {
    return remade.contains(relation) ||
           databases.contains({relation.tablespace, relation.database});
  }
};

// Of all records that start in [begin, end), and of some around them: whole segments are taken. kGap when the indexes cannot tell it
// all: WAL that is missing or damaged, a stretch with wal_level = minimal, changes that are not logged in a way that we know.
Result<ChangedPages> ReadChangedPages(const LineHistory& line, Lsn begin, Lsn end);

}  // namespace pitr
