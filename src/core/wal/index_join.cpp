// Records that run over the end of a segment, put together from the fragments that indexes keep.
#include <algorithm>

#include "core/wal/index.h"
#include "core/wal/page_reader.h"
#include "core/wal/record_facts.h"

namespace pitr::wal {

namespace {

struct Joined {
  Bytes bytes;
  Lsn end;  // without regard to a switch
};

// False when a piece is missing or does not fit.
bool Collect(const SegmentIndex& earlier, const std::vector<const SegmentIndex*>& continuation,
             Joined* joined) {
  const Fragment& tail = earlier.tail;
  const std::uint32_t segment_size = earlier.root.segment_size;
  const std::uint64_t here = PayloadToSegmentEnd(tail.start, segment_size);
  if (tail.total <= here || tail.bytes.size() != std::min<std::uint64_t>(here, kFragmentCap)) {
    return false;
  }
  joined->bytes = tail.bytes;
  std::uint64_t left = tail.total - here;
  bool whole = tail.bytes.size() == here;
  SegmentId before = earlier.segment;
  for (const SegmentIndex* next : continuation) {
    const std::uint64_t size = std::min(left, SegmentPayload(segment_size));
    // A timeline that begins in a segment keeps what came before in it, so the next segment may be known
    // under a later timeline only.
    const bool follows = next != nullptr && next->root == earlier.root &&
                         next->segment.number == before.number + 1 &&
                         next->segment.timeline >= before.timeline;
    if (!follows || !next->head.present || next->head.total != left ||
        next->head.bytes.size() != std::min<std::uint64_t>(size, kFragmentCap)) {
      return false;
    }
    // The length says nothing when it was cut: the WAL may have ended inside.
    if (size == left ? !next->head_end.valid() : next->partial) {
      return false;
    }
    // What comes behind a cut has no known place in the record.
    if (whole) {
      joined->bytes.insert(joined->bytes.end(), next->head.bytes.begin(), next->head.bytes.end());
      whole = next->head.bytes.size() == size;
    }
    left -= size;
    before = next->segment;
    if (left == 0) {
      joined->end = ContinuationEnd(SegmentStart(before.number, segment_size), size);
      return true;
    }
  }
  return false;
}

void AddBlock(const BlockRef& ref, SegmentIndex* index) {
  std::vector<std::uint32_t>& list = index->blocks[ref.relation];
  const auto at = std::lower_bound(list.begin(), list.end(), ref.block);
  if (at == list.end() || *at != ref.block) {
    list.insert(at, ref.block);
  }
}

}  // namespace

bool JoinTail(SegmentIndex* earlier, const std::vector<const SegmentIndex*>& continuation) {
  Joined joined;
  if (!earlier->tail.present || !Collect(*earlier, continuation, &joined) ||
      joined.bytes.size() < record::kHeader) {
    return false;
  }
  const std::uint32_t segment_size = earlier->root.segment_size;
  RawRecord raw;
  raw.header = LoadRecordHeader(joined.bytes.data());
  raw.start = earlier->tail.start;
  raw.end = EndOfRecord(raw.header, joined.end, segment_size);
  raw.bytes = joined.bytes;
  const bool link_fits = earlier->last_start.valid() ? raw.header.previous == earlier->last_start
                                                     : raw.header.previous < raw.start;
  if (raw.header.total_length != earlier->tail.total || !link_fits ||
      !IsResourceManager(raw.header.resource_manager)) {
    return false;
  }
  const bool whole = joined.bytes.size() == raw.header.total_length;
  if (whole && !RecordCrcFits(joined.bytes)) {
    return false;
  }
  RecordBody body;
  if (!DecodeBody(joined.bytes, raw.header.total_length, &body) || !AddFacts(raw, body, earlier)) {
    return false;
  }
  for (std::size_t i = 0; i < body.block_count; i++) {
    AddBlock(body.blocks[i], earlier);
  }
  earlier->tail = {};
  return true;
}

}  // namespace pitr::wal
