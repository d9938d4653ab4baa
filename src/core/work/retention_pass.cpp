#include "core/work/retention_pass.h"

#include <algorithm>

#include "core/base/fault.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/repo/pins.h"
#include "core/repo/records.h"
#include "core/repo/wal_removals.h"
#include "core/work/retained_wal.h"

namespace pitr {

namespace {

constexpr std::int64_t kMicros = 1'000'000;
constexpr std::size_t kRecords = 500;
// An operation that is said to run for longer died with its server.
constexpr std::int64_t kLongestMicros = 7LL * 86400 * kMicros;
// How often it is looked whether anything became needed, while objects are removed.
constexpr std::int64_t kLookMs = 2000;

class Pass {
 public:
  Pass(Repository* repo, const RetentionPassOptions& options)
      : repo_(repo), options_(options), now_(options.question.now) {}

  Result<RetentionPassResult> Run() {
    PITR_RETURN_IF_ERROR(
        NoteServerRetention(repo_, options_.question.self, options_.question.server));
    PITR_ASSIGN_OR_RETURN(view_, ReadRetentionView(repo_, options_.question, options_.cancel));
    plan_ = PlanRetention(view_->input);
    PITR_RETURN_IF_ERROR(MarkSnapshots());
    PITR_RETURN_IF_ERROR(MarkWal());
    if (ripe_.empty() && work_.empty()) {
      return std::move(result_);
    }
    PITR_RETURN_IF_ERROR(LookWhoWorks());
    if (!result_.postponed.empty()) {
      return std::move(result_);
    }
    began_ms_ = SystemClock().MonotonicMillis();
    PITR_RETURN_IF_ERROR(RemoveSnapshots());
    for (const WalWork& work : work_) {
      if (!result_.has_more) {
        PITR_RETURN_IF_ERROR(RemoveWal(work));
      }
    }
    return std::move(result_);
  }

 private:
  struct WalWork {
    BranchId branch;
    LsnRanges ripe;   // marked long enough ago, and still needed by nobody
    LsnRanges going;  // all that nobody needs now
  };

  bool Minds(const BranchId& branch) const {
    const Branch* found = view_->branches.FindId(branch);
    return found != nullptr && found->root == view_->input.root &&
           options_.question.minded.contains(branch);
  }

  bool IsRipe(Timestamp marked_at) const {
    return marked_at.micros + options_.grace_seconds * kMicros <= now_.micros;
  }

  // -- phase 1: marks --

  Status MarkSnapshots() {
    const std::map<SnapshotId, Timestamp> marks = RetentionMarks(view_->flags);
    std::vector<SnapshotId> goes, stays;
    for (std::size_t i = 0; i < plan_.snapshots.size(); i++) {
      const Manifest& manifest = *view_->input.snapshots[i].manifest;
      if (!Minds(manifest.branch)) {
        continue;
      }
      const auto mark = marks.find(manifest.id);
      const bool is_marked = mark != marks.end();
      if (plan_.snapshots[i].stays) {
        if (is_marked) stays.push_back(manifest.id);
      } else if (!is_marked) {
        goes.push_back(manifest.id);
      } else if (IsRipe(mark->second)) {
        ripe_.push_back(manifest.id);
      }
    }
    if (goes.empty() && stays.empty()) {
      return Status::Ok();
    }
    PITR_FAULT("retention.before_mark");
    PITR_RETURN_IF_ERROR(UpdateDocument(
        repo_, "snapshots", [&](Json* document) { return ChangeMarks(document, goes, stays); }));
    PITR_FAULT("retention.marked");
    if (!result_.marked.empty()) {
      result_.notes.push_back("retention: " + std::to_string(result_.marked.size()) +
                              " snapshots that nobody needs any more go in " +
                              std::to_string(options_.grace_seconds) + " s");
    }
    return Status::Ok();
  }

  Status ChangeMarks(Json* document, const std::vector<SnapshotId>& goes,
                     const std::vector<SnapshotId>& stays) {
    // Behind the document: a branch is in the catalogue before its pin is.
    PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo_));
    PITR_ASSIGN_OR_RETURN(const auto held, HeldSnapshots(*document, branches, now_));
    const std::map<SnapshotId, Timestamp> marks = RetentionMarks(*document);
    result_.marked.clear();
    result_.taken_back.clear();
    for (const SnapshotId& id : goes) {
      if (held.contains(id)) {
        continue;
      }
      Json& entry = (*document)[id];
      entry["deleted_at"] = now_.micros;
      entry["retention_at"] = now_.micros;
      result_.marked.push_back(id);
    }
    for (const SnapshotId& id : stays) {
      if (marks.contains(id)) {
        (*document)[id].erase("deleted_at");
        (*document)[id].erase("retention_at");
        result_.taken_back.push_back(id);
      }
    }
    return Status::Ok();
  }

  Status MarkWal() {
    PITR_ASSIGN_OR_RETURN(const WalRemovals removals, ReadWalRemovals(repo_));
    for (const Branch& branch : view_->branches.branches) {
      if (!Minds(branch.id)) {
        continue;
      }
      const auto needed = plan_.needed_wal.find(branch.id);
      const bool is_line =
          std::any_of(view_->input.lines.begin(), view_->input.lines.end(),
                      [&](const RetainedLine& line) { return line.id() == branch.id; });
      if (is_line && needed == plan_.needed_wal.end()) {
        continue;  // no line needs nothing of itself
      }
      WalWork work = {
          branch.id, {}, AllBut(needed == plan_.needed_wal.end() ? LsnRanges() : needed->second)};
      const auto known = removals.find(branch.id);
      const WalRemoval before = known == removals.end() ? WalRemoval() : known->second;
      const LsnRanges still = Common(before.going, work.going);
      const RetainedWal wal(*view_, branch.id);
      if (!wal.HasAny(still)) {
        const bool has_any = wal.HasAny(work.going);
        if (has_any || !before.going.empty()) {
          PITR_RETURN_IF_ERROR(Mark(branch, has_any ? work.going : LsnRanges(), now_));
        }
        continue;
      }
      if (!AreSame(still, before.going)) {
        PITR_RETURN_IF_ERROR(Mark(branch, still, before.marked_at));
      }
      if (IsRipe(before.marked_at)) {
        work.ripe = still;
        work_.push_back(std::move(work));
      }
    }
    return Status::Ok();
  }

  Status Mark(const Branch& branch, const LsnRanges& going, Timestamp at) {
    PITR_FAULT("retention.before_mark_wal");
    return UpdateWalRemoval(repo_, branch.id, [&](WalRemoval* removal) {
      removal->segment_size = branch.root.segment_size;
      removal->going = going;
      removal->marked_at = at;
    });
  }

  // -- phase 2: removal --

  // Whoever restores, copies or builds may have planned before the marks were made.
  Status LookWhoWorks() {
    PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records,
                          ReadOperations(repo_, kRecords));
    for (const OperationRecord& record : records) {
      if (!record.finished_at && record.id != options_.operation &&
          now_.micros - record.started_at.micros < kLongestMicros) {
        result_.postponed = "operation \"" + record.id + "\" (" + record.kind + ") of branch \"" +
                            record.branch + "\" is running";
      }
    }
    return Status::Ok();
  }

  // Whether to go on; false when there is more to do than this pass may.
  Result<bool> MayGoOn() {
    if ((options_.cancel != nullptr && options_.cancel->IsCancelled()) || IsProcessCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    const std::int64_t now_ms = SystemClock().MonotonicMillis();
    if (looked_ms_ == 0 || now_ms - looked_ms_ >= kLookMs) {
      PITR_ASSIGN_OR_RETURN(is_unchanged_, IsUnchanged(repo_, *view_, now_));
      looked_ms_ = now_ms;
    }
    result_.has_more = !is_unchanged_ || now_ms - began_ms_ > options_.budget_ms;
    return !result_.has_more;
  }

  Status RemoveSnapshots() {
    for (const SnapshotId& id : ripe_) {
      PITR_ASSIGN_OR_RETURN(const bool may_go_on, MayGoOn());
      if (!may_go_on) {
        break;
      }
      PITR_FAULT("retention.before_manifest");
      // Whoever keeps or pins one takes its mark away.
      const Status marked = CheckStillMarked(repo_, id);
      if (marked.code() == Code::kInUse) {
        continue;
      }
      PITR_RETURN_IF_ERROR(marked);
      PITR_RETURN_IF_ERROR(repo_->store()->Remove(layout::ManifestObject(id)));
      result_.removed.push_back(id);
    }
    return Status::Ok();
  }

  // Of snapshots that are there still, needed or not.
  LsnRanges HeldBySnapshots(const BranchId& branch) const {
    LsnRanges held;
    const std::uint64_t size = view_->input.root.segment_size;
    for (const RetainedSnapshot& snapshot : view_->input.snapshots) {
      const Manifest& manifest = *snapshot.manifest;
      const bool is_removed = std::find(result_.removed.begin(), result_.removed.end(),
                                        manifest.id) != result_.removed.end();
      if (manifest.branch == branch && !is_removed) {
        held.push_back({SegmentStart(manifest.start_lsn.value / size, size),
                        SegmentStart(manifest.stop_lsn.value / size + 1, size)});
      }
    }
    return SortedRanges(std::move(held));
  }

  Status RemoveWal(const WalWork& work) {
    const Branch& branch = view_->BranchOf(work.branch);
    const RetainedWal wal(*view_, work.branch);
    const LsnRanges ripe = Common(work.ripe, AllBut(HeldBySnapshots(work.branch)));
    if (wal.HasAny(ripe)) {
      PITR_ASSIGN_OR_RETURN(const bool may_go_on, MayGoOn());
      if (!may_go_on) {
        return Status::Ok();
      }
      PITR_FAULT("retention.before_record");
      PITR_RETURN_IF_ERROR(UpdateWalRemoval(repo_, work.branch, [&](WalRemoval* removal) {
        removal->segment_size = branch.root.segment_size;
        removal->removed = United(removal->removed, ripe);
      }));
      PITR_FAULT("retention.recorded");
      PITR_RETURN_IF_ERROR(wal.Visit(ripe, [&](const std::string& object, std::uint64_t bytes) {
        return RemoveObject(object, bytes);
      }));
      if (result_.has_more) {
        return Status::Ok();
      }
    }
    // What came to it since has its grace period from now on.
    const LsnRanges rest = Common(work.going, AllBut(ripe));
    return Mark(branch, wal.HasAny(rest) ? rest : LsnRanges(), now_);
  }

  Result<bool> RemoveObject(const std::string& object, std::uint64_t bytes) {
    PITR_ASSIGN_OR_RETURN(const bool may_go_on, MayGoOn());
    if (!may_go_on) {
      return false;
    }
    PITR_FAULT("retention.before_segment");
    PITR_RETURN_IF_ERROR(repo_->store()->Remove(object));
    result_.removed_objects++;
    result_.removed_bytes += bytes;
    return true;
  }

  Repository* const repo_;
  const RetentionPassOptions& options_;
  const Timestamp now_;
  std::unique_ptr<RetentionView> view_;
  RetentionPlan plan_;
  RetentionPassResult result_;
  std::vector<SnapshotId> ripe_;
  std::vector<WalWork> work_;
  std::int64_t began_ms_ = 0, looked_ms_ = 0;
  bool is_unchanged_ = true;
};

std::string Summary(const RetentionPassResult& result) {
  std::string text = "retention removed " + std::to_string(result.removed.size()) + " snapshots";
  for (std::size_t i = 0; i < std::min<std::size_t>(result.removed.size(), 5); i++) {
    text += (i == 0 ? " (" : ", ") + result.removed[i];
  }
  if (!result.removed.empty()) {
    text += result.removed.size() > 5 ? ", ...)" : ")";
  }
  return text + " and " + std::to_string(result.removed_objects) + " objects with WAL, " +
         std::to_string(result.removed_bytes) + " bytes";
}

}  // namespace

Result<RetentionPassResult> RunRetentionPass(Repository* repo,
                                             const RetentionPassOptions& options) {
  PITR_ASSIGN_OR_RETURN(RetentionPassResult result, Pass(repo, options).Run());
  if (result.DidSomething()) {
    result.notes.push_back(Summary(result));
  }
  if (!result.postponed.empty()) {
    result.notes.push_back("retention waits: " + result.postponed);
  }
  return result;
}

}  // namespace pitr
