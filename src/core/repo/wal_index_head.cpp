// The fixed part of a segment's index, for searches over many segments.
#include "core/codec/envelope.h"
#include "core/repo/wal_archive.h"

namespace pitr {

Result<wal::SegmentIndex> WalReader::ReadIndexHead(SegmentId segment) const {
  std::string object;
  PITR_ASSIGN_OR_RETURN(const std::optional<Bytes> stored, ReadWholeIndex(segment, &object));
  if (!stored.has_value()) {
    PITR_ASSIGN_OR_RETURN(wal::SegmentIndex index, ReadIndex(segment));
    index.counts = {};
    for (const wal::Event& event : index.events) {
      index.counts.events++;
      index.counts.commits += event.IsCommit() ? 1 : 0;
      index.counts.restore_points += event.kind == wal::EventKind::kRestorePoint ? 1 : 0;
    }
    return index;
  }
  Result<wal::SegmentIndex> head = wal::DecodeIndexHead(*stored);
  if (!head.ok()) {
    return std::move(head).status().Prefix("object \"" + object + "\"");
  }
  if (head->segment != segment || !(head->root == line_.front().root)) {
    return Status(Code::kCorrupt,
                  "object \"" + object + "\" holds the index of another WAL segment");
  }
  return head;
}

}  // namespace pitr
