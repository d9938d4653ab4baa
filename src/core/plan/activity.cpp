// A commit record does not say whether its transaction wrote anything. What wrote has records with its number before the commit, and none of them is
// missed when the number was given out within the WAL that is read: the first list of running transactions in it, which every checkpoint writes, says
// which numbers were still to come. What has a lower number counts.
#include "core/plan/activity.h"

#include <optional>
#include <unordered_set>

#include "core/wal/page_reader.h"

namespace pitr {

namespace {

// Of WAL without a commit that counts: a transaction that loads much, which will.
constexpr std::uint64_t kMostBytes = 512ULL << 20;

bool IsBefore(Xid a, Xid b) { return static_cast<std::int32_t>(a - b) < 0; }

class CommitWatch final : public wal::RecordSink {
 public:
  CommitWatch(Lsn since, std::uint32_t server_major) : since_(since), server_major_(server_major) {}

  bool has_found() const { return has_found_; }

  bool OnRecord(const wal::RawRecord& raw) override {
    const wal::RecordHeader& header = raw.header;
    if (header.resource_manager == wal::rmgr::kTransaction) {
      has_found_ = raw.start >= since_ && DoesCount(raw);
      return !has_found_;
    }
    if (header.resource_manager == wal::rmgr::kStandby &&
        header.operation() == wal::standby::kRunningXacts && !first_to_come_) {
      TakeRunning(raw);
    }
    if (header.xid != 0) {
      writers_.insert(header.xid);
    }
    return true;
  }

 private:
  void TakeRunning(const wal::RawRecord& raw) {
    if (wal::DecodeBody(raw.bytes, raw.header.total_length, &body_) &&
        body_.main_data.size() >= wal::standby::kRunningXactsMin) {
      first_to_come_ = wal::Load32(body_.main_data.data() + wal::standby::kNextXid);
    }
  }

  bool DoesCount(const wal::RawRecord& raw) {
    const std::uint8_t operation = raw.header.info & wal::xact::kOpMask;
    if (operation != wal::xact::kCommit) {
      return operation == wal::xact::kCommitPrepared;
    }
    wal::TransactionEnd end;
    const bool is_read = wal::DecodeBody(raw.bytes, raw.header.total_length, &body_) &&
                         wal::DecodeTransactionEnd(raw.header, body_, server_major_, &end);
    // A subtransaction gets a number when it writes.
    return !is_read || !end.subxacts.empty() || writers_.contains(raw.header.xid) ||
           !first_to_come_ || IsBefore(raw.header.xid, *first_to_come_);
  }

  const Lsn since_;
  const std::uint32_t server_major_;
  bool has_found_ = false;
  std::optional<Xid> first_to_come_;
  std::unordered_set<Xid> writers_;
  wal::RecordBody body_;
};

}  // namespace

Result<bool> HasCommitsSince(const LineHistory& line, const Manifest& snapshot,
                             const CancelToken& cancel) {
  const std::vector<Stretch>& stretches = line.stretches();
  if (stretches.empty() || snapshot.start_lsn < stretches.back().begin) {
    return true;
  }
  bool has_commit = false;
  PITR_RETURN_IF_ERROR(
      line.VisitEvents(snapshot.stop_lsn, [&](const wal::Event& event, TimelineId) {
        has_commit = event.IsCommit();
        return !has_commit;
      }));
  if (!has_commit) {
    return false;
  }
  const Lsn end = stretches.back().end;
  const auto segments = line.SegmentsBetween(snapshot.start_lsn, end);
  if (segments.empty() || end - snapshot.start_lsn > kMostBytes) {
    return true;
  }
  CommitWatch watch(snapshot.stop_lsn, line.root().server_major);
  wal::PageReaderOptions options;
  options.root = line.root();
  options.begin = SegmentStart(segments.front().segment.number, line.root().segment_size);
  wal::PageReader reader(options, &watch);
  for (const LineHistory::PathSegment& segment : segments) {
    if (cancel.IsCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    if (!segment.held || reader.ended()) {
      return true;
    }
    PITR_ASSIGN_OR_RETURN(const Bytes bytes, line.reader().ReadSegment(segment.segment));
    PITR_RETURN_IF_ERROR(reader.Feed(bytes));
    if (watch.has_found()) {
      return true;
    }
  }
  return false;
}

}  // namespace pitr
