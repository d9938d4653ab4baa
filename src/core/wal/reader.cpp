#include "core/wal/reader.h"

#include <array>

#include "core/wal/page_reader.h"

namespace pitr::wal {

namespace {

class Walker final : public RecordSink {
 public:
  Walker(Lsn begin, const std::function<bool(const Record&)>& visit)
      : visit_(visit), stopped_at_(begin) {}

  bool OnRecord(const RawRecord& raw) override {
    if (!DecodeBody(raw.bytes, raw.header.total_length, &body_)) {
      return false;
    }
    record_.start = raw.start;
    record_.end = raw.end;
    record_.previous = raw.header.previous;
    record_.xid = raw.header.xid;
    record_.resource_manager = raw.header.resource_manager;
    record_.info = raw.header.info;
    record_.total_length = raw.header.total_length;
    const auto first = body_.blocks.begin();
    record_.blocks.assign(first, first + static_cast<std::ptrdiff_t>(body_.block_count));
    record_.main_data = body_.main_data;
    stopped_at_ = raw.end;
    return visit_(record_);
  }

  Lsn stopped_at() const { return stopped_at_; }

 private:
  const std::function<bool(const Record&)>& visit_;
  RecordBody body_;
  Record record_;  // one for all visits, so that its vector is allocated once
  Lsn stopped_at_;
};

}  // namespace

Result<Lsn> WalkRecords(ByteView bytes, Lsn begin, const RootIdentity& root,
                        const std::function<bool(const Record&)>& visit) {
  if (!IsValidSegmentSize(root.segment_size) || begin.value % root.segment_size != 0) {
    return Status(Code::kInvalidArgument, begin.ToString() + " is not the start of a WAL segment");
  }
  PageReaderOptions options;
  options.root = root;
  options.begin = begin;
  options.keep = bytes.size();
  Walker walker(begin, visit);
  PageReader reader(options, &walker);
  // Page by page, so that a visit that says stop also ends the passing over of the rest.
  while (!bytes.empty() && !reader.ended()) {
    const ByteView piece = bytes.first(std::min(bytes.size(), kPageSize));
    PITR_RETURN_IF_ERROR(reader.Feed(piece));
    bytes = bytes.subspan(piece.size());
  }
  PITR_RETURN_IF_ERROR(reader.FinishInput());
  return walker.stopped_at();
}

const char* ResourceManagerName(std::uint8_t id) {
  // access/rmgrlist.h, the same in 15 .. 18.
  static constexpr std::array<const char*, rmgr::kLastBuiltin + 1> kNames = {
      "XLOG",       "Transaction",    "Storage", "CLOG",     "Database",
      "Tablespace", "MultiXact",      "RelMap",  "Standby",  "Heap2",
      "Heap",       "Btree",          "Hash",    "Gin",      "Gist",
      "Sequence",   "SPGist",         "BRIN",    "CommitTs", "ReplicationOrigin",
      "Generic",    "LogicalMessage",
  };
  if (id < kNames.size()) {
    return kNames[id];
  }
  return id >= rmgr::kFirstCustom ? "custom" : "unknown";
}

}  // namespace pitr::wal
