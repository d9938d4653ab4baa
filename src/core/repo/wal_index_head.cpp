// The fixed part of a segment's index, for searches over many segments.
#include "core/codec/envelope.h"
#include "core/repo/wal_archive.h"

namespace pitr {

Result<wal::SegmentIndex> WalReader::ReadIndexHead(SegmentId segment) const {
  Found found;
  PITR_ASSIGN_OR_RETURN(found, FindSegment(segment));
  if (found.from_tail || found.is_partial) {
    PITR_ASSIGN_OR_RETURN(wal::SegmentIndex index, ReadIndex(segment));
    index.counts = {};
    for (const wal::Event& event : index.events) {
      index.counts.events++;
      index.counts.commits += event.IsCommit() ? 1 : 0;
      index.counts.restore_points += event.kind == wal::EventKind::kRestorePoint ? 1 : 0;
    }
    return index;
  }
  PITR_ASSIGN_OR_RETURN(const Bytes extra, ReadEnvelopeExtra(repo_->store(), found.object,
                                                             ObjectKind::kWalSegment, nullptr));
  Result<wal::SegmentIndex> head = wal::DecodeIndexHead(extra);
  if (!head.ok()) {
    return std::move(head).status().Prefix("object \"" + found.object + "\"");
  }
  if (head->segment != segment || !(head->root == line_.front().root)) {
    return Status(Code::kCorrupt,
                  "object \"" + found.object + "\" holds the index of another WAL segment");
  }
  return head;
}

}  // namespace pitr
