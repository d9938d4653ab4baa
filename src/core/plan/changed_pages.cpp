#include "core/plan/changed_pages.h"

#include <algorithm>

namespace pitr {

namespace {

constexpr std::uint32_t kTruncateHeap = 1;  // SMGR_TRUNCATE_HEAP, storage_xlog.h (15)

// One segment after the other; what a segment leaves open is looked at in the next.
class Gatherer {
 public:
  explicit Gatherer(Lsn end) : end_(end) {}

  Status Add(const wal::SegmentIndex& index) {
    segments_++;
    PITR_RETURN_IF_ERROR(CheckBorder(index));
    PITR_RETURN_IF_ERROR(CheckWords(index));
    for (const auto& [fork, blocks] : index.blocks) {
      if (fork.fork == 0 && !blocks.empty()) {
        PageSet& pages = changed_.blocks[fork];
        for (const std::uint32_t block : blocks) {
          pages.Add(block);
        }
      }
    }
    for (const wal::Truncation& cut : index.truncations) {
      if ((cut.flags & kTruncateHeap) != 0) {
        const auto [at, is_new] = changed_.truncated.emplace(cut.relation, cut.blocks);
        at->second = is_new ? cut.blocks : std::min(at->second, cut.blocks);
      }
    }
    for (const wal::RelationDrop& drop : index.relation_drops) {
      changed_.remade.insert(MainFork(drop.relation));
    }
    for (const wal::RelationCreate& create : index.relation_creates) {
      // A fork that comes later (the first vacuum makes the maps) says nothing about the main one.
      if (create.relation.fork == 0) {
        changed_.remade.insert(create.relation);
      }
    }
    for (const wal::DatabaseEvent& event : index.database_events) {
      changed_.databases.emplace(event.tablespace, event.database);
    }
    return Status::Ok();
  }

  std::size_t segments() const { return segments_; }
  ChangedPages Take() { return std::move(changed_); }

 private:
  static wal::RelFork MainFork(wal::RelFork relation) {
    relation.fork = 0;
    return relation;
  }

  // A record that could not be joined was given up in a crash, when nothing of it stands in the next segment; else we lack it.
  Status CheckBorder(const wal::SegmentIndex& index) {
    const bool lacks = open_.valid() && open_ < end_ && index.head.present;
    const Lsn start = open_;
    open_ = index.tail.present ? index.tail.start : Lsn();
    return lacks ? Status(Code::kGap, "the record at " + start.ToString() + " cannot be read")
                 : Status::Ok();
  }

  static Status CheckWords(const wal::SegmentIndex& index) {
    if (index.unexplained_changes) {
      return Status(Code::kGap, "WAL of a custom resource manager changes files in its own way");
    }
    if (index.lists_cut) {
      return Status(Code::kGap, "a commit dropped more relations than an index lists");
    }
    const bool minimal =
        std::any_of(index.parameter_changes.begin(), index.parameter_changes.end(),
                    [](const wal::ParameterChange& change) { return change.wal_level == 0; });
    return minimal ? Status(Code::kGap, "wal_level was \"minimal\" in between") : Status::Ok();
  }

  const Lsn end_;
  Lsn open_;  // start of a record that runs over the end of the segment before
  std::size_t segments_ = 0;
  ChangedPages changed_;
};

}  // namespace

Result<ChangedPages> ReadChangedPages(const LineHistory& line, Lsn begin, Lsn end) {
  PITR_ASSIGN_OR_RETURN(const std::size_t first, line.StretchAt(begin));
  PITR_ASSIGN_OR_RETURN(const std::size_t last, line.StretchAt(end));
  if (first != last || end < begin) {
    return Status(Code::kGap,
                  "WAL is missing between " + begin.ToString() + " and " + end.ToString());
  }
  if (begin == end) {
    return ChangedPages();
  }
  Gatherer gatherer(end);
  PITR_RETURN_IF_ERROR(line.VisitIndexes(
      begin, end, [&](const wal::SegmentIndex& index) { return gatherer.Add(index); },
      /*with_blocks=*/true));
  const std::uint64_t size = line.root().segment_size;
  const std::uint64_t wanted =
      SegmentNumberOf({end.value - 1}, size) - SegmentNumberOf(begin, size);
  // Holes are skipped by the visit.
  if (gatherer.segments() != wanted + 1) {
    return Status(Code::kGap,
                  "WAL is missing between " + begin.ToString() + " and " + end.ToString());
  }
  return gatherer.Take();
}

}  // namespace pitr
