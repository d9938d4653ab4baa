// One pass over a segment: the page reader finds records, DecodeBody their blocks, AddFacts the rest.
#include <algorithm>

#include "core/wal/block_set.h"
#include "core/wal/index.h"
#include "core/wal/page_reader.h"
#include "core/wal/record_facts.h"

namespace pitr::wal {

namespace {

class Collector final : public RecordSink {
 public:
  bool OnRecord(const RawRecord& record) override {
    if (!DecodeBody(record.bytes, record.header.total_length, &body_) ||
        !AddFacts(record, body_, &index)) {
      refused = record.start;
      return false;
    }
    for (std::size_t i = 0; i < body_.block_count; i++) {
      blocks.Add(body_.blocks[i].relation, body_.blocks[i].block);
    }
    return true;
  }

  SegmentIndex index;
  BlockSet blocks;
  Lsn refused;  // a record whose CRC fits but whose content makes no sense

 private:
  RecordBody body_;  // 33 references: kept, so as not to be set up for each record
};

PageReaderOptions OptionsFor(const ExpectedWal& expected) {
  PageReaderOptions options;
  options.root = expected.root;
  options.begin = SegmentStart(expected.segment.number, expected.root.segment_size);
  options.max_timeline = expected.segment.timeline;
  return options;
}

}  // namespace

struct IndexBuilder::State {
  explicit State(const ExpectedWal& wal)
      : expected(wal),
        begin(SegmentStart(wal.segment.number, wal.root.segment_size)),
        end(begin + wal.root.segment_size),
        reader(OptionsFor(wal), &collector) {
    collector.index.root = wal.root;
    collector.index.segment = wal.segment;
    collector.index.page_magic = PageMagic(wal.root.server_major);
  }

  ExpectedWal expected;
  Lsn begin, end;
  Collector collector;
  PageReader reader;
};

IndexBuilder::IndexBuilder(const ExpectedWal& expected) : state_(new State(expected)) {}

IndexBuilder::~IndexBuilder() { delete state_; }

Status IndexBuilder::Add(ByteView bytes) {
  if (!IsValidSegmentSize(state_->expected.root.segment_size)) {
    return Status(Code::kInvalidArgument,
                  "no WAL segment size: " + std::to_string(state_->expected.root.segment_size));
  }
  if (bytes.size() > state_->end - state_->reader.fed()) {
    return Status(Code::kInvalidArgument, "more bytes than a WAL segment has");
  }
  return state_->reader.Feed(bytes);
}

Result<SegmentIndex> IndexBuilder::Finish() {
  PageReader& reader = state_->reader;
  const bool is_short = reader.fed() < state_->end;
  PITR_RETURN_IF_ERROR(reader.FinishInput());
  SegmentIndex index = std::move(state_->collector.index);
  index.blocks = state_->collector.blocks.Take();
  index.head = std::move(reader.head());
  index.head_end = reader.head_end();
  index.partial = reader.ended() || is_short;
  if (state_->collector.refused.valid()) {
    index.end_reason = "a record that cannot be decoded at " + state_->collector.refused.ToString();
  } else if (reader.ended()) {
    index.end_reason = reader.end_reason();
  } else if (is_short) {
    index.end_reason = "the input ends at " + reader.fed().ToString();
  }
  if (!index.partial && reader.has_open_record()) {
    const ByteView kept = reader.open_bytes();
    const ByteView bytes = kept.first(std::min(kept.size(), kFragmentCap));
    index.tail.present = true;
    index.tail.start = reader.open_start();
    index.tail.total = reader.open_total();
    index.tail.bytes.assign(bytes.begin(), bytes.end());
    if (!index.first_start.valid()) {
      index.first_start = index.tail.start;
    }
  }
  return index;
}

}  // namespace pitr::wal
