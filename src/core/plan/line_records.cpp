// Borders of records, found by reading the bytes of WAL.
#include <algorithm>

#include "core/plan/line_state.h"
#include "core/wal/reader.h"

namespace pitr {

namespace {

using Borders = std::optional<std::pair<Lsn, Lsn>>;

// The last record that begins in this segment and ends at or before `end`.
Result<Borders> LastInside(const WalReader& reader, SegmentId segment, Lsn end) {
  PITR_ASSIGN_OR_RETURN(const Bytes bytes, reader.ReadSegment(segment));
  Borders last;
  const Lsn start = SegmentStart(segment.number, reader.segment_size());
  PITR_ASSIGN_OR_RETURN(
      const Lsn stopped,
      wal::WalkRecords(bytes, start, reader.line().front().root, [&](const wal::Record& record) {
        if (record.end > end) {
          return false;
        }
        last = {record.start, record.end};
        return true;
      }));
  static_cast<void>(stopped);
  return last;
}

}  // namespace

Result<std::pair<Lsn, Lsn>> LineHistory::LastRecordEndingAt(Lsn lsn) const {
  const Lsn end = AsEnd(lsn, state_->segment_size());
  PITR_ASSIGN_OR_RETURN(const std::size_t stretch, StretchAt(end));
  const Coverage::Run& run = state_->coverage.runs()[stretch];
  std::size_t slot = std::max(state_->SlotBefore(end), run.first);
  PITR_ASSIGN_OR_RETURN(const SharedIndex here, state_->cache.Raw(slot));
  if (here->last_end.valid() && here->last_end <= end) {
    return std::pair(here->last_start, here->last_end);
  }
  if (here->first_start.valid() && here->first_start < end) {
    const SegmentId segment = state_->slots()[slot].copy.segment;
    PITR_ASSIGN_OR_RETURN(const Borders found, LastInside(state_->reader, segment, end));
    if (found.has_value()) {
      return *found;
    }
  }
  // Nothing that begins here has ended by then: the last record of an earlier segment, which may run
  // into this one and end in time, or not.
  while (slot-- > run.first) {
    PITR_ASSIGN_OR_RETURN(const SharedIndex joined, state_->cache.Joined(slot));
    PITR_ASSIGN_OR_RETURN(const SharedIndex raw, state_->cache.Raw(slot));
    for (const SharedIndex& index : {joined, raw}) {
      if (index->last_end.valid() && index->last_end <= end) {
        return std::pair(index->last_start, index->last_end);
      }
    }
  }
  const Code code = stretch == 0 ? Code::kOutsideWindow : Code::kGap;
  return Status(code, "no record that ends at or before " + lsn.ToString() +
                          " is held: the WAL of branch \"" + name() + "\" begins at " +
                          state_->stretches[stretch].begin.ToString());
}

Result<std::optional<Xid>> LineHistory::XidOfRecordAt(Lsn start) const {
  const std::vector<Coverage::Slot>& slots = state_->slots();
  const std::size_t slot = state_->SlotBefore({start.value + 1});
  const std::uint64_t size = state_->segment_size();
  if (slot >= slots.size() || slots[slot].number() != SegmentNumberOf(start, size)) {
    return std::optional<Xid>();
  }
  PITR_ASSIGN_OR_RETURN(Bytes bytes, state_->reader.ReadSegment(slots[slot].copy.segment));
  // The record may run into the next segment.
  const bool has_next = slots[slot].whole && slot + 1 < slots.size() &&
                        slots[slot + 1].number() == slots[slot].number() + 1;
  if (has_next) {
    PITR_ASSIGN_OR_RETURN(const Bytes next,
                          state_->reader.ReadSegment(slots[slot + 1].copy.segment));
    bytes.insert(bytes.end(), next.begin(), next.end());
  }
  std::optional<Xid> xid;
  PITR_ASSIGN_OR_RETURN(const Lsn stopped,
                        wal::WalkRecords(bytes, SegmentStart(slots[slot].number(), size), root(),
                                         [&](const wal::Record& record) {
                                           if (record.start == start) {
                                             xid = record.xid;
                                           }
                                           return record.start < start;
                                         }));
  static_cast<void>(stopped);
  return xid;
}

}  // namespace pitr
