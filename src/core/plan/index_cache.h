// The indexes of a path's segments as questions of time and place need them: heads of all that were looked at, bodies of
// the last few, joined over segment borders and cut where the path leaves a timeline. Inside plan/ only.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>

#include "core/plan/coverage.h"

namespace pitr {

using SharedIndex = std::shared_ptr<const wal::SegmentIndex>;

class IndexCache {
 public:
  // What can be said of a segment without its lists. Times are of commits and aborts that lie in it whole; one that
  // runs into the next segment is not among them (runs_over).
  struct Head {
    Timestamp min_time, max_time;
    bool has_times = false, has_commits = false, has_restore_points = false, runs_over = false;
  };

  // Both must outlive the cache.
  IndexCache(const WalReader* reader, const Coverage* coverage)
      : reader_(reader), coverage_(coverage) {}

  Result<Head> HeadOf(std::size_t slot);
  // As stored, without `blocks`.
  Result<SharedIndex> Raw(std::size_t slot);
  // With the record that runs into the next segments, and nothing of what lies behind the slot's end.
  Result<SharedIndex> Joined(std::size_t slot);
  // The same with `blocks`, not kept.
  Result<wal::SegmentIndex> JoinedWithBlocks(std::size_t slot);
  std::uint64_t bodies_read() const { return bodies_read_; }

 private:
  struct Entry {
    SharedIndex raw, joined;
  };
  const Coverage::Slot& SlotAt(std::size_t slot) const { return coverage_->slots()[slot]; }
  bool IsCut(std::size_t slot) const;
  Entry* Touch(std::size_t slot);
  Status Join(std::size_t slot, wal::SegmentIndex* index);

  const WalReader* reader_;
  const Coverage* coverage_;
  std::map<std::size_t, Head> heads_;
  // Bodies can hold a hundred thousand commits each, so only a few stay. Newest use first.
  std::list<std::pair<std::size_t, Entry>> bodies_;
  std::uint64_t bodies_read_ = 0;
};

}  // namespace pitr
