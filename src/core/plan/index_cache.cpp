// Reading, joining and cutting indexes.
#include "core/plan/index_cache.h"

#include <algorithm>

namespace pitr {

namespace {

// A walk needs the segment it is in and those that its last record runs through.
constexpr std::size_t kBodiesKept = 16;

template <typename List>
void CutList(List* list, Lsn end) {
  std::erase_if(*list, [&](const auto& row) { return row.start >= end; });
}

void CutAt(Lsn end, wal::SegmentIndex* index) {
  std::erase_if(index->events, [&](const wal::Event& event) { return event.end > end; });
  CutList(&index->truncations, end);
  CutList(&index->relation_drops, end);
  CutList(&index->relation_creates, end);
  CutList(&index->database_events, end);
  CutList(&index->parameter_changes, end);
  CutList(&index->checkpoints, end);
}

IndexCache::Head HeadFrom(const wal::SegmentIndex& index) {
  IndexCache::Head head;
  head.min_time = index.min_time;
  head.max_time = index.max_time;
  head.has_times = index.max_time != Timestamp() || index.min_time != Timestamp();
  head.has_commits = index.counts.commits > 0;
  head.has_restore_points = index.counts.restore_points > 0;
  head.runs_over = index.tail.present;
  return head;
}

IndexCache::Head HeadFromEvents(const wal::SegmentIndex& index) {
  IndexCache::Head head;
  for (const wal::Event& event : index.events) {
    head.has_restore_points |= event.kind == wal::EventKind::kRestorePoint;
    if (!event.IsCommit() && !event.IsAbort()) {
      continue;
    }
    head.min_time = head.has_times ? std::min(head.min_time, event.time) : event.time;
    head.max_time = head.has_times ? std::max(head.max_time, event.time) : event.time;
    head.has_times = true;
    head.has_commits |= event.IsCommit();
  }
  return head;
}

}  // namespace

// Where a timeline ends inside a segment, or the segment is there in part.
bool IndexCache::IsCut(std::size_t slot) const { return !SlotAt(slot).whole; }

IndexCache::Entry* IndexCache::Touch(std::size_t slot) {
  const auto found = std::find_if(bodies_.begin(), bodies_.end(),
                                  [&](const auto& body) { return body.first == slot; });
  if (found != bodies_.end()) {
    bodies_.splice(bodies_.begin(), bodies_, found);
  } else {
    bodies_.emplace_front(slot, Entry());
    if (bodies_.size() > kBodiesKept) {
      bodies_.pop_back();
    }
  }
  return &bodies_.front().second;
}

Result<IndexCache::Head> IndexCache::HeadOf(std::size_t slot) {
  const auto known = heads_.find(slot);
  if (known != heads_.end()) {
    return known->second;
  }
  Head head;
  if (IsCut(slot)) {
    PITR_ASSIGN_OR_RETURN(const SharedIndex index, Joined(slot));
    head = HeadFromEvents(*index);
  } else {
    PITR_ASSIGN_OR_RETURN(const wal::SegmentIndex index,
                          reader_->ReadIndexHead(SlotAt(slot).copy.segment));
    head = HeadFrom(index);
  }
  heads_.emplace(slot, head);
  return head;
}

Result<SharedIndex> IndexCache::Raw(std::size_t slot) {
  Entry* entry = Touch(slot);
  if (entry->raw == nullptr) {
    PITR_ASSIGN_OR_RETURN(wal::SegmentIndex index, reader_->ReadIndex(SlotAt(slot).copy.segment));
    bodies_read_++;
    index.blocks.clear();
    entry->raw = std::make_shared<const wal::SegmentIndex>(std::move(index));
  }
  return entry->raw;
}

Status IndexCache::Join(std::size_t slot, wal::SegmentIndex* index) {
  if (IsCut(slot)) {
    CutAt(SlotAt(slot).copy.end, index);
    return Status::Ok();
  }
  if (!index->tail.present) {
    return Status::Ok();
  }
  std::vector<SharedIndex> held;
  std::vector<const wal::SegmentIndex*> continuation;
  const std::vector<Coverage::Slot>& slots = coverage_->slots();
  for (std::size_t next = slot + 1; next < slots.size(); next++) {
    if (!slots[next - 1].whole || slots[next].number() != slots[next - 1].number() + 1) {
      break;
    }
    PITR_ASSIGN_OR_RETURN(SharedIndex following, Raw(next));
    continuation.push_back(following.get());
    held.push_back(std::move(following));
    if (!held.back()->head.present || held.back()->head_end.valid()) {
      break;
    }
  }
  // False is no error: the record is not complete yet, or was given up when the server crashed.
  static_cast<void>(wal::JoinTail(index, continuation));
  return Status::Ok();
}

Result<SharedIndex> IndexCache::Joined(std::size_t slot) {
  PITR_ASSIGN_OR_RETURN(const SharedIndex raw, Raw(slot));
  if (Touch(slot)->joined == nullptr) {
    auto index = std::make_shared<wal::SegmentIndex>(*raw);
    PITR_RETURN_IF_ERROR(Join(slot, index.get()));
    // The join may have pushed this slot out of the cache and in again.
    Touch(slot)->joined = std::move(index);
  }
  return Touch(slot)->joined;
}

Result<wal::SegmentIndex> IndexCache::JoinedWithBlocks(std::size_t slot) {
  PITR_ASSIGN_OR_RETURN(wal::SegmentIndex index, reader_->ReadIndex(SlotAt(slot).copy.segment));
  bodies_read_++;
  PITR_RETURN_IF_ERROR(Join(slot, &index));
  return index;
}

}  // namespace pitr
