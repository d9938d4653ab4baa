// The last commit at or before a time, as the server itself would stop (recoveryStopsBefore, xlogrecovery.c, 15), without
// reading the lists of every segment on the way.
//
// Heads of indexes say the earliest and latest time of the commits and aborts in a segment. A segment whose latest is
// not beyond the target cannot stop the walk, so its list is skipped, with one exception: heads do not know the record
// that runs into the next segment. So lists are read from the last segment on that is safely before the target
// (kClockMarginMicros): what runs over an earlier border is followed by commits that much older than the target.
#include <algorithm>

#include "core/plan/line_state.h"

namespace pitr {

namespace {

using wal::Event;

class TimeSearch {
 public:
  TimeSearch(const LineHistory& line, IndexCache* cache, Timestamp time, bool inclusive, Lsn from)
      : line_(line), cache_(cache), time_(time), inclusive_(inclusive), from_(from) {}

  Result<Neighbours> Run(std::size_t first, std::size_t last) {
    std::size_t begin = first;
    while (begin <= last && !found_.beyond) {
      std::size_t walk_from = begin, walk_to = last;
      PITR_RETURN_IF_ERROR(FindWalk(begin, last, &walk_from, &walk_to));
      PITR_RETURN_IF_ERROR(Walk(walk_from, walk_to));
      if (!last_in_walk_) {
        PITR_RETURN_IF_ERROR(LookBack(begin, walk_from));
      }
      begin = walk_to + 1;
    }
    if (found_.beyond) {
      PITR_RETURN_IF_ERROR(LookBehind(last));
    }
    return found_;
  }

 private:
  bool IsBeyond(Timestamp time) const { return inclusive_ ? time > time_ : time >= time_; }
  static bool Stops(const Event& event) { return event.IsCommit() || event.IsAbort(); }
  CommitAt At(const Event& event) const { return {event, line_.TimelineAt(event.start)}; }

  // [*walk_from, *walk_to]: slots whose lists must be read, up to the first whose head is beyond the target.
  Status FindWalk(std::size_t begin, std::size_t last, std::size_t* walk_from,
                  std::size_t* walk_to) {
    for (std::size_t slot = begin; slot <= last; slot++) {
      PITR_ASSIGN_OR_RETURN(const IndexCache::Head head, cache_->HeadOf(slot));
      if (!head.has_times) {
        continue;
      }
      if (IsBeyond(head.max_time)) {
        *walk_to = slot;
        return Status::Ok();
      }
      if (head.max_time.micros < time_.micros - LineHistory::kClockMarginMicros) {
        *walk_from = slot;
      }
    }
    return Status::Ok();
  }

  // Events in order; ends at the one that stops.
  Status Walk(std::size_t walk_from, std::size_t walk_to) {
    last_in_walk_ = false;
    for (std::size_t slot = walk_from; slot <= walk_to; slot++) {
      PITR_ASSIGN_OR_RETURN(const SharedIndex index, cache_->Joined(slot));
      for (const Event& event : index->events) {
        if (event.start < from_) {
          continue;
        }
        if (Stops(event) && IsBeyond(event.time)) {
          found_.beyond = true;
          stop_ = event.start;
          stop_slot_ = slot;
          return Status::Ok();
        }
        Take(event);
      }
    }
    return Status::Ok();
  }

  void Take(const Event& event) {
    if (event.IsCommit()) {
      found_.last = At(event);
      found_.prepared.reset();
      last_in_walk_ = true;
    } else if (event.kind == wal::EventKind::kPrepare && !IsBeyond(event.time)) {
      found_.prepared = At(event);
    }
  }

  // The last commit before the lists that were read, in [begin, end).
  Status LookBack(std::size_t begin, std::size_t end) {
    for (std::size_t slot = end; slot-- > begin;) {
      PITR_ASSIGN_OR_RETURN(const SharedIndex index, cache_->Joined(slot));
      for (auto event = index->events.rbegin(); event != index->events.rend(); ++event) {
        if (event->start < from_) {
          return Status::Ok();
        }
        if (event->IsCommit()) {
          found_.last = At(*event);
          if (found_.prepared.has_value() && found_.prepared->event.start < event->start) {
            found_.prepared.reset();
          }
          return Status::Ok();
        }
        const bool is_newest =
            !found_.prepared.has_value() || found_.prepared->event.start < event->start;
        if (event->kind == wal::EventKind::kPrepare && !IsBeyond(event->time) && is_newest) {
          found_.prepared = At(*event);
        }
      }
    }
    return Status::Ok();
  }

  // Behind the stop: the first commit out, and commits that carry a time before the target all the same.
  Status LookBehind(std::size_t last) {
    const std::size_t count_to = std::min(last, stop_slot_ + LineHistory::kDisorderSegments);
    for (std::size_t slot = stop_slot_; slot <= last; slot++) {
      if (found_.next.has_value() && slot > count_to) {
        return Status::Ok();
      }
      PITR_ASSIGN_OR_RETURN(const IndexCache::Head head, cache_->HeadOf(slot));
      const bool may_be_early = slot <= count_to && head.has_times && !IsBeyond(head.min_time);
      if (slot != stop_slot_ && found_.next.has_value() && !may_be_early) {
        continue;
      }
      PITR_ASSIGN_OR_RETURN(const SharedIndex index, cache_->Joined(slot));
      for (const Event& event : index->events) {
        if (event.start < stop_ || !event.IsCommit()) {
          continue;
        }
        if (!found_.next.has_value()) {
          found_.next = At(event);
        }
        found_.out_of_order += IsBeyond(event.time) || slot > count_to ? 0 : 1;
      }
    }
    return Status::Ok();
  }

  const LineHistory& line_;
  IndexCache* const cache_;
  const Timestamp time_;
  const bool inclusive_;
  const Lsn from_;

  Neighbours found_;
  bool last_in_walk_ = false;
  Lsn stop_;
  std::size_t stop_slot_ = 0;
};

}  // namespace

Result<Neighbours> LineHistory::AtTime(Timestamp time, bool inclusive, Lsn from) const {
  PITR_ASSIGN_OR_RETURN(const std::size_t stretch, StretchAt(from));
  const Coverage::Run& run = state_->coverage.runs()[stretch];
  // A record that starts at or after `from` lies in its segment or a later one.
  const std::size_t first = std::clamp(state_->SlotBefore({from.value + 1}), run.first, run.last);
  TimeSearch search(*this, &state_->cache, time, inclusive, from);
  return search.Run(first, run.last);
}

}  // namespace pitr
