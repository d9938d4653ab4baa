// Moments looked up in the WAL indexes: around an LSN, by name, by transaction. Times are in time_search.cpp.
#include <algorithm>

#include "core/plan/line_state.h"

namespace pitr {

namespace {

using wal::Event;

Lsn StartOf(const Coverage::Slot& slot, std::uint64_t segment_size) {
  return SegmentStart(slot.number(), segment_size);
}

}  // namespace

Status LineHistory::VisitEvents(Lsn from,
                                const std::function<bool(const Event&, TimelineId)>& visit) const {
  const std::vector<Coverage::Slot>& slots = state_->slots();
  const std::uint64_t size = state_->segment_size();
  for (std::size_t slot = 0; slot < slots.size(); slot++) {
    if (StartOf(slots[slot], size) + size <= from) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const SharedIndex index, state_->cache.Joined(slot));
    for (const Event& event : index->events) {
      if (event.start >= from && !visit(event, TimelineAt(event.start))) {
        return Status::Ok();
      }
    }
  }
  return Status::Ok();
}

Status LineHistory::VisitIndexes(Lsn begin, Lsn end,
                                 const std::function<Status(const wal::SegmentIndex&)>& visit,
                                 bool with_blocks) const {
  const std::vector<Coverage::Slot>& slots = state_->slots();
  const std::uint64_t size = state_->segment_size();
  for (std::size_t slot = 0; slot < slots.size(); slot++) {
    const Lsn start = StartOf(slots[slot], size);
    if (start + size <= begin || start >= end) {
      continue;
    }
    if (with_blocks) {
      PITR_ASSIGN_OR_RETURN(const wal::SegmentIndex index, state_->cache.JoinedWithBlocks(slot));
      PITR_RETURN_IF_ERROR(visit(index));
    } else {
      PITR_ASSIGN_OR_RETURN(const SharedIndex index, state_->cache.Joined(slot));
      PITR_RETURN_IF_ERROR(visit(*index));
    }
  }
  return Status::Ok();
}

Result<Neighbours> LineHistory::AtLsn(Lsn lsn, Lsn from) const {
  PITR_ASSIGN_OR_RETURN(const std::size_t stretch, StretchAt(lsn));
  const Coverage::Run& run = state_->coverage.runs()[stretch];
  const Lsn end = AsEnd(lsn, state_->segment_size());
  Neighbours around;
  // Backwards to the last commit that ends in time. A record belongs to the segment in which it starts.
  std::size_t slot = std::clamp(state_->SlotBefore(end), run.first, run.last);
  for (;; slot--) {
    PITR_ASSIGN_OR_RETURN(const IndexCache::Head head, state_->cache.HeadOf(slot));
    if (head.has_commits || head.runs_over) {
      PITR_ASSIGN_OR_RETURN(const SharedIndex index, state_->cache.Joined(slot));
      const auto found =
          std::find_if(index->events.rbegin(), index->events.rend(),
                       [&](const Event& event) { return event.IsCommit() && event.end <= end; });
      if (found != index->events.rend()) {
        if (found->start >= from) {
          around.last = CommitAt{*found, TimelineAt(found->start)};
        }
        break;
      }
    }
    if (slot == run.first || StartOf(state_->slots()[slot], state_->segment_size()) <= from) {
      break;
    }
  }
  for (; slot <= run.last; slot++) {
    PITR_ASSIGN_OR_RETURN(const IndexCache::Head head, state_->cache.HeadOf(slot));
    if (!head.has_commits && !head.runs_over) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const SharedIndex index, state_->cache.Joined(slot));
    const auto found =
        std::find_if(index->events.begin(), index->events.end(),
                     [&](const Event& event) { return event.IsCommit() && event.end > end; });
    if (found != index->events.end()) {
      around.next = CommitAt{*found, TimelineAt(found->start)};
      break;
    }
  }
  return around;
}

Result<std::optional<CommitAt>> LineHistory::EventStartingAt(Lsn lsn) const {
  const Lsn start = AsStart(lsn, state_->segment_size());
  const std::vector<Coverage::Slot>& slots = state_->slots();
  const std::size_t slot = state_->SlotBefore({start.value + 1});
  const std::uint64_t number = SegmentNumberOf(start, state_->segment_size());
  if (slot >= slots.size() || slots[slot].number() != number) {
    return std::optional<CommitAt>();
  }
  PITR_ASSIGN_OR_RETURN(const SharedIndex index, state_->cache.Joined(slot));
  for (const Event& event : index->events) {
    if (event.start == start) {
      return std::optional<CommitAt>({event, TimelineAt(start)});
    }
  }
  return std::optional<CommitAt>();
}

namespace {

// The newest event that `wanted` says yes to; `may_hold` spares bodies.
template <typename MayHold, typename Wanted>
Result<std::optional<Event>> FindNewest(const Coverage& coverage, IndexCache* cache,
                                        MayHold may_hold, Wanted wanted) {
  for (std::size_t slot = coverage.slots().size(); slot-- > 0;) {
    PITR_ASSIGN_OR_RETURN(const IndexCache::Head head, cache->HeadOf(slot));
    if (!may_hold(head) && !head.runs_over) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const SharedIndex index, cache->Joined(slot));
    const auto found = std::find_if(index->events.rbegin(), index->events.rend(), wanted);
    if (found != index->events.rend()) {
      return std::optional<Event>(*found);
    }
  }
  return std::optional<Event>();
}

}  // namespace

Result<std::optional<CommitAt>> LineHistory::FindRestorePoint(const std::string& name) const {
  PITR_ASSIGN_OR_RETURN(const std::optional<Event> found,
                        FindNewest(
                            state_->coverage, &state_->cache,
                            [](const IndexCache::Head& head) { return head.has_restore_points; },
                            [&](const Event& event) {
                              return event.kind == wal::EventKind::kRestorePoint &&
                                     event.name == name;
                            }));
  if (!found.has_value()) {
    return std::optional<CommitAt>();
  }
  return std::optional<CommitAt>({*found, TimelineAt(found->start)});
}

Result<std::optional<CommitAt>> LineHistory::FindXid(Xid xid) const {
  PITR_ASSIGN_OR_RETURN(
      const std::optional<Event> found,
      FindNewest(
          state_->coverage, &state_->cache,
          [](const IndexCache::Head& head) { return head.has_commits; },
          [&](const Event& event) { return event.IsCommit() && event.xid == xid; }));
  if (!found.has_value()) {
    return std::optional<CommitAt>();
  }
  return std::optional<CommitAt>({*found, TimelineAt(found->start)});
}

Result<std::optional<CommitAt>> LineHistory::FindAbort(Xid xid) const {
  PITR_ASSIGN_OR_RETURN(
      const std::optional<Event> found,
      FindNewest(
          state_->coverage, &state_->cache,
          [](const IndexCache::Head& head) { return head.has_times; },
          [&](const Event& event) { return event.IsAbort() && event.xid == xid; }));
  if (!found.has_value()) {
    return std::optional<CommitAt>();
  }
  return std::optional<CommitAt>({*found, TimelineAt(found->start)});
}

}  // namespace pitr
