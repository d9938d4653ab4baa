// A point becomes a plan: line and last record (target_resolution.cpp), then snapshot, WAL, settings and warnings here.
#include "core/plan/restore_plan.h"

#include <algorithm>

#include "core/plan/target_resolution.h"

namespace pitr {

namespace {

// Reading the WAL around a drop costs a segment each; older drops than this have long been committed.
constexpr std::size_t kDropsExamined = 16;

class Planner {
 public:
  Planner(Repository* repo, const BranchSet& branches, const PlanRequest& request,
          RestorePlan* plan, std::vector<std::string>* missing)
      : view_(repo, branches), request_(request), plan_(*plan), missing_(missing) {}

  Status Run() {
    PITR_RETURN_IF_ERROR(view_.ReadSnapshots());
    PITR_RETURN_IF_ERROR(FindTarget());
    PITR_RETURN_IF_ERROR(FindNeighbours());
    PITR_RETURN_IF_ERROR(ChooseSnapshot());
    PITR_RETURN_IF_ERROR(ListSegments());
    PITR_RETURN_IF_ERROR(ReadIndexes());
    return WarnOfDrops();
  }

 private:
  void SetLine(const LineHistory& line) {
    line_ = &line;
    plan_.line = line.branch();
    plan_.line_name = line.name();
    plan_.root = line.root();
  }

  Status FindTarget() {
    const LineHistory* line = nullptr;
    const Result<ResolvedTarget> target = ResolveTarget(&view_, request_, &line);
    if (line != nullptr) {
      SetLine(*line);
    }
    if (!target.ok()) {
      return target.status();
    }
    SetLine(*target->line);
    plan_.record_start = target->start;
    plan_.record_end = target->end;
    plan_.timeline = line_->TimelineAt(target->start);
    plan_.owner = line_->WriterAt(target->start).branch.id;
    const Stretch& newest = line_->stretches().back();
    if (request_.point.kind == Point::Kind::kHead && target->end < newest.begin) {
      plan_.warnings.push_back("WAL from " + newest.begin.ToString() +
                               " on is held but cannot be reached, since some before it is not: "
                               "the newest state that can be restored ends at " +
                               target->end.ToString());
    }
    if (target->out_of_order > 0) {
      plan_.warnings.push_back(
          std::to_string(target->out_of_order) +
          " later commits carry a time that is not later than the target: the clock went back, "
          "and they are not part of it");
    }
    return Status::Ok();
  }

  Status FindNeighbours() {
    PITR_ASSIGN_OR_RETURN(const Neighbours around, line_->AtLsn(plan_.record_end, Lsn()));
    plan_.last_commit = around.last;
    plan_.next_commit = around.next;
    return Status::Ok();
  }

  // The newest one whose stop lies at or before the target. One that is older needs more WAL, never less.
  Status ChooseSnapshot() {
    snapshots_ = view_.SnapshotsOf(*line_);
    const auto found =
        std::find_if(snapshots_.rbegin(), snapshots_.rend(), [&](const LineSnapshot& snapshot) {
          return snapshot.manifest->stop_lsn <= plan_.record_end;
        });
    if (found == snapshots_.rend()) {
      return NoSnapshotReaches(*line_, snapshots_, plan_.record_start.ToString());
    }
    base_ = found->manifest;
    plan_.snapshot = base_->id;
    plan_.wal_from = base_->start_lsn;
    plan_.wal_from_timeline = base_->timeline;
    plan_.wal_bytes = plan_.record_end - plan_.wal_from;
    plan_.database_bytes = base_->database_bytes;
    // Each frame is of one place, and pages of zeros are in none (work/frame_builder.h).
    plan_.data_bytes = std::min(base_->database_bytes, found->frames * kFrameSize);
    plan_.settings = base_->control;
    return Status::Ok();
  }

  Status ListSegments() {
    const std::uint64_t size = line_->root().segment_size;
    std::optional<std::uint64_t> first_missing, last_missing;
    for (const LineHistory::PathSegment& segment :
         line_->SegmentsBetween(plan_.wal_from, plan_.record_end)) {
      plan_.segments.push_back(segment.segment);
      if (segment.held) {
        plan_.timeline = std::max(plan_.timeline, segment.segment.timeline);
        continue;
      }
      first_missing = first_missing.value_or(segment.segment.number);
      last_missing = segment.segment.number;
      if (missing_ != nullptr) {
        missing_->push_back(SegmentName(segment.segment, size));
      }
    }
    if (!first_missing.has_value()) {
      return Status::Ok();
    }
    const Lsn begin = SegmentStart(*first_missing, size);
    const Lsn end = SegmentStart(*last_missing + 1, size);
    return InGap(*line_, snapshots_,
                 "WAL of branch \"" + line_->name() + "\" is missing between " + begin.ToString() +
                     " and " + end.ToString(),
                 begin, end);
  }

  // Settings are what hot standby compares (internals 6): never less than any server on the way had.
  void Raise(const wal::ParameterChange& change) {
    ControlSettings& s = plan_.settings;
    s.max_connections = std::max(s.max_connections, change.max_connections);
    s.max_worker_processes = std::max(s.max_worker_processes, change.max_worker_processes);
    s.max_wal_senders = std::max(s.max_wal_senders, change.max_wal_senders);
    s.max_prepared_transactions =
        std::max(s.max_prepared_transactions, change.max_prepared_transactions);
    s.max_locks_per_transaction =
        std::max(s.max_locks_per_transaction, change.max_locks_per_transaction);
    s.wal_level = std::max(s.wal_level, change.wal_level);
    s.wal_log_hints |= change.wal_log_hints;
    s.track_commit_timestamp |= change.track_commit_timestamp;
  }

  bool IsReplayed(Lsn start) const {
    return plan_.wal_from <= start && start <= plan_.record_start;
  }

  Status ReadIndex(const wal::SegmentIndex& index) {
    for (const wal::ParameterChange& change : index.parameter_changes) {
      if (!IsReplayed(change.start)) {
        continue;
      }
      if (change.wal_level == 0) {
        return InGap(*line_, snapshots_,
                     "wal_level was \"minimal\" on branch \"" + line_->name() + "\" from " +
                         change.start.ToString() + " on, which no recovery can pass",
                     change.start, {change.start.value + 1});
      }
      Raise(change);
    }
    for (const wal::DatabaseEvent& event : index.database_events) {
      if (event.kind == wal::DatabaseEventKind::kDrop && IsReplayed(event.start)) {
        drops_.push_back(event);
      }
    }
    std::vector<std::uint8_t>& managers = plan_.custom_resource_managers;
    managers.insert(managers.end(), index.custom_resource_managers.begin(),
                    index.custom_resource_managers.end());
    return Status::Ok();
  }

  Status ReadIndexes() {
    PITR_RETURN_IF_ERROR(
        line_->VisitIndexes(plan_.wal_from, plan_.record_end,
                            [this](const wal::SegmentIndex& index) { return ReadIndex(index); }));
    std::vector<std::uint8_t>& managers = plan_.custom_resource_managers;
    std::sort(managers.begin(), managers.end());
    managers.erase(std::unique(managers.begin(), managers.end()), managers.end());
    return Status::Ok();
  }

  // Replay removes a database's files at the drop record, its row of pg_database only at the commit that follows
  // (dropdb, dbcommands.c, 15). Between the two the catalogue lists a database without files.
  Status WarnOfDrops() {
    // One record has a row for each tablespace.
    const auto is_same = [](const wal::DatabaseEvent& a, const wal::DatabaseEvent& b) {
      return a.start == b.start;
    };
    drops_.erase(std::unique(drops_.begin(), drops_.end(), is_same), drops_.end());
    const std::size_t first = drops_.size() - std::min(drops_.size(), kDropsExamined);
    for (std::size_t i = first; i < drops_.size(); i++) {
      PITR_ASSIGN_OR_RETURN(const bool is_committed, IsCommitted(drops_[i].start));
      if (!is_committed) {
        plan_.warnings.push_back("the files of database " + std::to_string(drops_[i].database) +
                                 " are removed before the target, but the transaction that "
                                 "drops it is not committed by then: it would be listed without "
                                 "files; the point before it is " +
                                 drops_[i].start.ToString());
      }
    }
    return Status::Ok();
  }

  // Whether the transaction that wrote the record at `start` is committed at the target.
  Result<bool> IsCommitted(Lsn start) {
    PITR_ASSIGN_OR_RETURN(const std::optional<Xid> xid, line_->XidOfRecordAt(start));
    if (!xid.has_value() || *xid == 0) {
      return true;
    }
    bool found = false;
    PITR_RETURN_IF_ERROR(line_->VisitEvents(start, [&](const wal::Event& event, TimelineId) {
      if (event.start > plan_.record_start) {
        return false;
      }
      found = event.IsCommit() && event.xid == *xid;
      return !found;
    }));
    return found;
  }

  PlanningView view_;
  const PlanRequest& request_;
  RestorePlan& plan_;
  std::vector<std::string>* const missing_;
  const LineHistory* line_ = nullptr;
  std::vector<LineSnapshot> snapshots_;
  const Manifest* base_ = nullptr;
  std::vector<wal::DatabaseEvent> drops_;
};

}  // namespace

Result<RestorePlan> PlanRestore(Repository* repo, const BranchSet& branches,
                                const PlanRequest& request, RestorePlan* partial,
                                std::vector<std::string>* missing) {
  RestorePlan plan;
  const Status status = Planner(repo, branches, request, &plan, missing).Run();
  if (status.ok()) {
    return plan;
  }
  if (partial != nullptr) {
    *partial = std::move(plan);
  }
  return status;
}

}  // namespace pitr
