// How a window becomes a stretch of WAL to follow, and which segments of it are read.
//
// A transaction that ended in the window may have begun long before. Records of it carry ids that are not lower than its own, so
// reading begins where no id of those that ended in the window had been given out yet. Names need the catalogs: those of a snapshot
// before that place, and what the WAL in between says of them.
#include "core/find/find_events.h"

#include <algorithm>
#include <map>
#include <memory>

#include "core/find/catalog_base.h"
#include "core/find/follower.h"
#include "core/plan/line_history.h"
#include "core/plan/snapshots_on_line.h"
#include "core/wal/reader.h"

namespace pitr::find {

namespace {

// Rewritten catalogs come to light one at a time, and each begins the walk again.
constexpr int kMaxRestarts = 32;

Status Cancelled() { return Status(Code::kCancelled, "cancelled"); }

bool IsBefore(Xid a, Xid b) { return static_cast<std::int32_t>(a - b) < 0; }

// The next id to be given out, if the record says.
std::optional<Xid> NextXidOf(const wal::Record& record) {
  const std::uint8_t operation = record.info & wal::record::kInfoMask;
  const ByteView main = record.main_data;
  const bool is_checkpoint =
      record.resource_manager == wal::rmgr::kXlog &&
      (operation == wal::xlog::kCheckpointShutdown || operation == wal::xlog::kCheckpointOnline);
  if (is_checkpoint && main.size() >= wal::xlog::kCheckpointNextXid + 4) {
    return wal::Load32(main.data() + wal::xlog::kCheckpointNextXid);
  }
  if (record.resource_manager == wal::rmgr::kStandby && operation == wal::standby::kRunningXacts &&
      main.size() >= wal::standby::kRunningXactsMin) {
    return wal::Load32(main.data() + wal::standby::kNextXid);
  }
  return std::nullopt;
}

class StretchSearch {
 public:
  StretchSearch(Repository* repo, const LineHistory& line, std::size_t stretch,
                const std::vector<LineSnapshot>& snapshots, const FindRequest& request,
                const CancelToken* cancel)
      : repo_(repo),
        line_(line),
        stretch_(line.stretches()[stretch]),
        request_(request),
        cancel_(cancel),
        size_(line.root().segment_size) {
    for (const LineSnapshot& snapshot : snapshots) {
      if (snapshot.stretch == stretch) {
        snapshots_.push_back(snapshot.manifest);
      }
    }
  }

  // The part of the stretch that the window can be in. What lies before the oldest snapshot cannot be gone back to, and is not
  // looked for.
  Status FindWindow() {
    begin_ = snapshots_.empty() ? stretch_.begin : snapshots_.front()->stop_lsn;
    first_ = begin_;
    end_ = stretch_.end;
    if (request_.since) {
      const Timestamp since = {request_.since->micros - LineHistory::kClockMarginMicros};
      PITR_ASSIGN_OR_RETURN(const Neighbours around, line_.AtTime(since, false, first_));
      begin_ = around.last ? around.last->event.end : first_;
    }
    if (request_.until) {
      const Timestamp until = {request_.until->micros + LineHistory::kClockMarginMicros};
      PITR_ASSIGN_OR_RETURN(const Neighbours around, line_.AtTime(until, true, begin_));
      end_ = around.next ? around.next->event.end : stretch_.end;
    }
    return Status::Ok();
  }
  bool reaches_begin() const { return begin_ == first_; }
  bool reaches_end() const { return end_ == stretch_.end; }

  Status Run(FoundEvents* out) {
    if (!(begin_ < end_)) {
      return Status::Ok();
    }
    std::vector<FoundEvent> found;
    PITR_RETURN_IF_ERROR(ReadIndexes(&found));
    if (has_ends_ && (request_.WantsRows() || request_.WantsCatalogs())) {
      PITR_RETURN_IF_ERROR(FindStart());
      FindBase();
      PITR_RETURN_IF_ERROR(CountBlocks());
      PITR_RETURN_IF_ERROR(Follow(&found));
    }
    for (FoundEvent& event : found) {
      SayWhatIsBefore(&event);
      out->events.push_back(std::move(event));
    }
    out->segments += segments_;
    out->segments_read += segments_read_;
    return Status::Ok();
  }

 private:
  bool InWindow(Timestamp time) const {
    return (!request_.since || *request_.since <= time) &&
           (!request_.until || time <= *request_.until);
  }

  // What the indexes tell by themselves: restore points, and the lowest id that ended in the window.
  Status ReadIndexes(std::vector<FoundEvent>* found) {
    return line_.VisitIndexes(begin_, end_, [&](const wal::SegmentIndex& index) -> Status {
      if (cancel_->IsCancelled()) {
        return Cancelled();
      }
      for (const wal::Event& event : index.events) {
        if (event.start < begin_ || event.start >= end_ || !InWindow(event.time)) {
          continue;
        }
        if (event.kind == wal::EventKind::kRestorePoint) {
          AddRestorePoint(event, found);
        } else if (!event.IsAbort() || !index.database_events.empty()) {
          lowest_ = has_ends_ && !IsBefore(event.xid, lowest_) ? lowest_ : event.xid;
          has_ends_ = true;
        }
      }
      has_ends_ = has_ends_ || !index.database_events.empty();
      return Status::Ok();
    });
  }

  void AddRestorePoint(const wal::Event& point, std::vector<FoundEvent>* found) const {
    if (!request_.Wants(Kind::kRestorePoint) || !request_.relation.empty()) {
      return;
    }
    FoundEvent event;
    event.time = point.time;
    event.kind = Kind::kRestorePoint;
    event.object = point.name;
    event.lsn = event.before = point.start;
    found->push_back(std::move(event));
  }

  // Backwards to a record that says that the lowest id was still to come.
  Status FindStart() {
    start_ = begin_;
    if (lowest_ == 0) {
      return Status::Ok();
    }
    const auto segments = line_.SegmentsBetween(stretch_.begin, begin_ + 1);
    for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
      if (cancel_->IsCancelled()) {
        return Cancelled();
      }
      start_ = std::max(SegmentStart(segment->segment.number, size_), stretch_.begin);
      PITR_ASSIGN_OR_RETURN(const Bytes bytes, line_.reader().ReadSegment(segment->segment));
      std::optional<Lsn> from;
      PITR_ASSIGN_OR_RETURN(
          const Lsn stopped,
          wal::WalkRecords(bytes, SegmentStart(segment->segment.number, size_), line_.root(),
                           [&](const wal::Record& record) {
                             const std::optional<Xid> next = NextXidOf(record);
                             if (record.start > begin_ || (next && IsBefore(lowest_, *next))) {
                               return false;
                             }
                             from = next ? std::optional(record.start) : from;
                             return true;
                           }));
      static_cast<void>(stopped);
      if (from) {
        start_ = *from;
        return Status::Ok();
      }
    }
    return Status::Ok();
  }

  // The newest snapshot before the start; without one the oldest behind it, whose catalogs come in when the walk gets there.
  void FindBase() {
    walk_from_ = start_;
    for (const Manifest* snapshot : snapshots_) {
      if (snapshot->start_lsn <= start_) {
        base_ = snapshot;
        walk_from_ = snapshot->start_lsn;
      }
    }
    if (base_ == nullptr && !snapshots_.empty()) {
      base_ = snapshots_.front();
    }
  }

  // A row that a transaction deletes or updates keeps its line pointer until it ends, so that many rows mean many blocks.
  bool CanHoldEnough(std::uint64_t blocks) const {
    return static_cast<std::int64_t>(blocks) * wal::heap_page::kMaxTuples >= request_.min_rows;
  }

  Status CountBlocks() {
    if (!request_.WantsRows()) {
      return Status::Ok();
    }
    return line_.VisitIndexes(
        start_, end_,
        [&](const wal::SegmentIndex& index) -> Status {
          if (cancel_->IsCancelled()) {
            return Cancelled();
          }
          for (const auto& [relation, blocks] : index.blocks) {
            if (relation.fork == 0) {
              blocks_[relation] += blocks.size();
            }
          }
          return Status::Ok();
        },
        true);
  }

  bool IsOfInterest(const wal::SegmentIndex& index, const CatalogRows& rows,
                    const Follower& follower) const {
    if (!index.database_events.empty() || index.lists_cut) {
      return true;
    }
    const bool is_counted = SegmentStart(index.segment.number, size_) + size_ > start_;
    for (const auto& [relation, blocks] : index.blocks) {
      if (relation.fork != 0) {
        continue;
      }
      const bool is_catalog = relation.relation < wal::catalog::kFirstNormalOid ||
                              rows.WatchedAs({relation.database, relation.relation}).has_value();
      const auto counted = is_counted ? blocks_.find(relation) : blocks_.end();
      if (is_catalog || (counted != blocks_.end() && CanHoldEnough(counted->second))) {
        return true;
      }
    }
    return std::any_of(index.events.begin(), index.events.end(), [&](const wal::Event& event) {
      return follower.WaitsFor(event.xid, event.IsCommit());
    });
  }

  Status Follow(std::vector<FoundEvent>* found) {
    CatalogRows rows;
    for (int round = 0; round < kMaxRestarts; round++) {
      segments_ = segments_read_ = 0;
      Follower::Options options;
      options.request = &request_;
      options.server_major = line_.root().server_major;
      options.count_from = start_;
      options.end = end_;
      if (base_ != nullptr) {
        options.base = base_->start_lsn;
        options.load = [&](CatalogRows* into) {
          return LoadCatalogs(repo_, base_->id, cancel_, into);
        };
      }
      options.belongs = [&](Lsn start) { return line_.TimelineAt(start) <= timeline_; };
      Follower follower(std::move(options), &rows);
      PITR_RETURN_IF_ERROR(Walk(&follower, rows));
      if (follower.must_restart()) {
        continue;
      }
      follower.Finish();
      found->insert(found->end(), follower.events().begin(), follower.events().end());
      return Status::Ok();
    }
    return Status(Code::kInternal, "catalogs were rewritten too often");
  }

  Status Walk(Follower* follower, const CatalogRows& rows) {
    std::unique_ptr<wal::PageReader> reader;
    std::uint64_t next = 0;  // number of the segment that the reader goes on with
    const Status status = line_.VisitIndexes(
        walk_from_, end_,
        [&](const wal::SegmentIndex& index) -> Status {
          if (cancel_->IsCancelled()) {
            return Cancelled();
          }
          if (follower->must_restart()) {
            return Status::Ok();
          }
          segments_++;
          const bool goes_on =
              reader != nullptr && next == index.segment.number && !reader->ended();
          const bool is_rest = goes_on && reader->has_open_record();
          const bool is_of_interest = IsOfInterest(index, rows, *follower);
          if (!is_rest && !is_of_interest) {
            reader.reset();
            PassOver(index, follower);
            return Status::Ok();
          }
          segments_read_++;
          timeline_ = index.segment.timeline;
          PITR_ASSIGN_OR_RETURN(const Bytes bytes, line_.reader().ReadSegment(index.segment));
          if (!goes_on) {
            wal::PageReaderOptions options;
            options.root = line_.root();
            options.begin = SegmentStart(index.segment.number, size_);
            reader = std::make_unique<wal::PageReader>(options, follower);
          }
          next = index.segment.number + 1;
          if (is_of_interest) {
            PITR_RETURN_IF_ERROR(reader->Feed(bytes));
            return follower->status();
          }
          PITR_RETURN_IF_ERROR(FeedRest(bytes, reader.get()));
          reader.reset();
          PassOver(index, follower);
          return follower->status();
        },
        true);
    return status;
  }

  // The rest of the record that runs into a segment of no interest, and no more than its last page: some record runs over every
  // border, so that one segment would lead to all that follow.
  static Status FeedRest(ByteView bytes, wal::PageReader* reader) {
    const Lsn open = reader->open_start();
    while (!bytes.empty() && !reader->ended() && reader->has_open_record() &&
           reader->open_start() == open) {
      PITR_RETURN_IF_ERROR(reader->Feed(bytes.first(wal::kPageSize)));
      bytes = bytes.subspan(wal::kPageSize);
    }
    return Status::Ok();
  }

  static void PassOver(const wal::SegmentIndex& index, Follower* follower) {
    for (const wal::CheckpointRecord& checkpoint : index.checkpoints) {
      if (checkpoint.shutdown || checkpoint.end_of_recovery) {
        follower->OnRestart();
      }
    }
  }

  void SayWhatIsBefore(FoundEvent* event) const {
    const bool is_reached =
        std::any_of(snapshots_.begin(), snapshots_.end(),
                    [&](const Manifest* snapshot) { return snapshot->stop_lsn <= event->before; });
    if (!is_reached) {
      event->before = Lsn();
      event->detail += event->detail.empty() ? "" : "; ";
      event->detail += "before the oldest snapshot";
    }
  }

  Repository* repo_;
  const LineHistory& line_;
  const Stretch& stretch_;
  const FindRequest& request_;
  const CancelToken* cancel_;
  const std::uint64_t size_;
  std::vector<const Manifest*> snapshots_;  // by stop, oldest first
  Lsn first_;                               // from here on events are looked for
  Lsn begin_, end_;                         // the window
  Lsn start_;                               // nothing that ended in the window did anything before
  Lsn walk_from_;                           // catalogs are followed from here
  const Manifest* base_ = nullptr;
  Xid lowest_ = 0;
  bool has_ends_ = false;
  std::map<wal::RelFork, std::uint64_t> blocks_;
  TimelineId timeline_ = 0;  // of the segment that is read
  std::uint64_t segments_ = 0, segments_read_ = 0;
};

}  // namespace

Result<FoundEvents> FindEvents(Repository* repo, const BranchSet& branches, const BranchId& branch,
                               const FindRequest& request, const CancelToken* cancel) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<LineHistory> line,
                        LineHistory::Open(repo, branches, branch));
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads, ListSnapshots(repo, nullptr));
  const std::vector<LineSnapshot> snapshots = SnapshotsOn(*line, heads);
  FoundEvents found;
  bool reached_end = false;
  for (std::size_t i = 0; i < line->stretches().size(); i++) {
    StretchSearch search(repo, *line, i, snapshots, request, cancel);
    PITR_RETURN_IF_ERROR(search.FindWindow());
    if (i > 0 && reached_end && search.reaches_begin()) {
      found.gaps.push_back("WAL is missing from " + line->stretches()[i - 1].end.ToString() +
                           " to " + line->stretches()[i].begin.ToString());
    }
    reached_end = search.reaches_end();
    PITR_RETURN_IF_ERROR(search.Run(&found));
  }
  if (line->stretches().empty()) {
    found.gaps.push_back("no WAL of branch \"" + line->name() + "\" is in the repository");
  }
  std::stable_sort(found.events.begin(), found.events.end(),
                   [](const FoundEvent& a, const FoundEvent& b) { return a.lsn < b.lsn; });
  return found;
}

}  // namespace pitr::find
