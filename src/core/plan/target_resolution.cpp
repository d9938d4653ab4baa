// The rules of README.md in this folder, point by point.
#include "core/plan/target_resolution.h"

#include <algorithm>

#include "core/plan/line_state.h"

namespace pitr {

namespace {

using Borders = std::pair<Lsn, Lsn>;

ResolvedTarget TargetOf(const LineHistory& line, const Borders& borders) {
  return {&line, borders.first, borders.second, 0};
}
ResolvedTarget TargetOf(const LineHistory& line, const wal::Event& event) {
  return {&line, event.start, event.end, 0};
}

Result<ResolvedTarget> EndingAt(const LineHistory& line, Lsn lsn) {
  PITR_ASSIGN_OR_RETURN(const Borders borders, line.LastRecordEndingAt(lsn));
  return TargetOf(line, borders);
}

// The record of an event, or what lies before it.
Result<ResolvedTarget> OfEvent(const LineHistory& line, const wal::Event& event, bool inclusive) {
  if (inclusive) {
    return TargetOf(line, event);
  }
  return EndingAt(line, event.start);
}

// The end of what can be reached. When a server is lost, segments and pieces that were shipped ahead may lie behind one that was
// not shipped any more.
Result<ResolvedTarget> HeadOf(const LineHistory& line, const std::vector<LineSnapshot>& snapshots) {
  if (line.stretches().empty()) {
    return line.StretchAt(Lsn()).status();
  }
  const std::size_t last = line.stretches().size() - 1;
  std::optional<std::size_t> reachable;
  for (const LineSnapshot& snapshot : snapshots) {
    reachable = std::max(reachable, snapshot.stretch);
  }
  return EndingAt(line, line.stretches()[reachable.value_or(last)].end);
}

Result<ResolvedTarget> OfTime(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
                              Timestamp time, bool inclusive) {
  PITR_ASSIGN_OR_RETURN(const TimeAnswer answer, ResolveTime(line, snapshots, time, inclusive));
  const Neighbours& around = answer.around;
  Result<ResolvedTarget> target = Status(Code::kInternal, "");
  if (around.prepared.has_value()) {
    target = TargetOf(line, around.prepared->event);
  } else if (around.last.has_value()) {
    target = TargetOf(line, around.last->event);
  } else {
    target = EndingAt(line, answer.base->stop_lsn);
  }
  if (target.ok()) {
    target->out_of_order = around.out_of_order;
  }
  return target;
}

bool IsReached(const std::vector<LineSnapshot>& snapshots, Lsn lsn) {
  return !snapshots.empty() && snapshots.front().manifest->stop_lsn <= lsn;
}

Result<ResolvedTarget> OfLsn(const LineHistory& line, const std::vector<LineSnapshot>& snapshots,
                             Lsn lsn, bool inclusive) {
  const std::uint64_t size = line.root().segment_size;
  if (!IsReached(snapshots, AsEnd(lsn, size))) {
    return NoSnapshotReaches(line, snapshots, lsn.ToString());
  }
  const std::vector<Stretch>& all = line.stretches();
  const Result<std::size_t> stretch = line.StretchAt(lsn);
  if (!stretch.ok()) {
    if (stretch.status().code() != Code::kGap) {
      return BeyondTheEnd(line, snapshots, lsn);
    }
    const auto after =
        std::find_if(all.begin(), all.end(), [&](const Stretch& held) { return held.begin > lsn; });
    return InGap(line, snapshots, stretch.status().message(), (after - 1)->end, after->begin);
  }
  if (!inclusive) {
    return EndingAt(line, lsn);
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<CommitAt> at, line.EventStartingAt(lsn));
  if (at.has_value()) {
    return TargetOf(line, at->event);
  }
  if (lsn > all[*stretch].end && *stretch + 1 < all.size()) {
    // The place behind the last page before a gap: what begins there is not held.
    return InGap(line, snapshots,
                 lsn.ToString() + " begins a gap of the WAL of branch \"" + line.name() + "\"",
                 all[*stretch].end, all[*stretch + 1].begin);
  }
  PITR_ASSIGN_OR_RETURN(const Borders borders, line.LastRecordEndingAt(lsn));
  // The record behind it starts before the LSN, or not at all; taken when it is a moment of its own.
  PITR_ASSIGN_OR_RETURN(const std::optional<CommitAt> over, line.EventStartingAt(borders.second));
  if (over.has_value() && over->event.start <= AsStart(lsn, size)) {
    return TargetOf(line, over->event);
  }
  return TargetOf(line, borders);
}

// By id or by name, the newest of that name.
Result<ResolvedTarget> OfSnapshot(const LineHistory& line,
                                  const std::vector<LineSnapshot>& snapshots,
                                  const std::string& name) {
  const auto found =
      std::find_if(snapshots.rbegin(), snapshots.rend(), [&](const LineSnapshot& snapshot) {
        return snapshot.manifest->id == name || snapshot.manifest->name == name;
      });
  if (found == snapshots.rend()) {
    return Status(Code::kNotFound,
                  "snapshot \"" + name + "\" of branch \"" + line.name() + "\" not found");
  }
  return EndingAt(line, found->manifest->stop_lsn);
}

Result<ResolvedTarget> OfRestorePoint(const LineHistory& line, const std::string& name,
                                      bool inclusive) {
  PITR_ASSIGN_OR_RETURN(const std::optional<CommitAt> found, line.FindRestorePoint(name));
  if (!found.has_value()) {
    return Status(Code::kNotFound,
                  "restore point \"" + name + "\" of branch \"" + line.name() + "\" not found");
  }
  return OfEvent(line, found->event, inclusive);
}

Result<ResolvedTarget> OfXid(const LineHistory& line, Xid xid, bool inclusive) {
  PITR_ASSIGN_OR_RETURN(const std::optional<CommitAt> found, line.FindXid(xid));
  if (found.has_value()) {
    return OfEvent(line, found->event, inclusive);
  }
  const std::string subject = "transaction " + std::to_string(xid);
  PITR_ASSIGN_OR_RETURN(const std::optional<CommitAt> abort, line.FindAbort(xid));
  if (abort.has_value()) {
    return Status(Code::kNotFound, subject + " of branch \"" + line.name() + "\" was rolled back")
        .WithDetail("It ended at " + FormatTime(abort->event.time) + " (" +
                    abort->event.start.ToString() + ").");
  }
  return Status(Code::kNotFound,
                "no commit of " + subject + " is in the WAL of branch \"" + line.name() + "\"")
      .WithHint(
          "The number of a transaction without changes, or of a subtransaction, is in no "
          "commit record.");
}

Result<ResolvedTarget> OnLine(const PlanningView& view, const LineHistory& line, const Point& point,
                              bool inclusive) {
  const std::vector<LineSnapshot> snapshots = view.SnapshotsOf(line);
  switch (point.kind) {
    case Point::Kind::kHead:
      return HeadOf(line, snapshots);
    case Point::Kind::kTime:
      return OfTime(line, snapshots, point.time, inclusive);
    case Point::Kind::kLsn:
      return OfLsn(line, snapshots, point.lsn, inclusive);
    case Point::Kind::kRestorePoint:
      return OfRestorePoint(line, point.name, inclusive);
    case Point::Kind::kXid:
      return OfXid(line, point.xid, inclusive);
    case Point::Kind::kSnapshot:
      return OfSnapshot(line, snapshots, point.name);
  }
  return Status(Code::kInternal, "a point of no kind");
}

// The line that the name of `self` showed at `time`. Before the name's first line there is only that one.
BranchId LineShownAt(const BranchSet& branches, const BranchId& self, Timestamp time) {
  const Branch* branch = branches.FindId(self);
  const NameSpan* shown = nullptr;
  for (const NameSpan& span : branches.name_spans) {
    if (span.name == branch->name && (shown == nullptr || span.since <= time)) {
      shown = &span;
    }
  }
  return shown == nullptr ? self : shown->id;
}

// Where one descends from the other, the order in which the name showed them decides; otherwise nothing does.
bool AreRelated(const BranchSet& branches, const BranchId& a, const BranchId& b) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    const Result<std::vector<const Branch*>> ancestry = branches.AncestryOf(from);
    if (ancestry.ok() && std::any_of(ancestry->begin(), ancestry->end(),
                                     [&](const Branch* line) { return line->id == to; })) {
      return true;
    }
  }
  return false;
}

struct Candidate {
  ResolvedTarget target;
  BranchId writer;
};

Result<ResolvedTarget> ChooseCandidate(const PlanningView& view,
                                       const std::vector<Candidate>& candidates,
                                       const Point& point) {
  const Candidate& chosen = candidates.front();
  for (const Candidate& other : candidates) {
    const bool is_same = other.writer == chosen.writer && other.target.end == chosen.target.end;
    const bool is_clear = point.kind == Point::Kind::kXid
                              ? false
                              : AreRelated(view.branches(), chosen.writer, other.writer);
    if (!is_same && !is_clear) {
      const std::string text = point.ToString();
      return Status(Code::kAmbiguous, "point \"" + text + "\" is ambiguous: it lies on \"" +
                                          chosen.target.line->name() + "\" and on \"" +
                                          other.target.line->name() + "\"")
          .WithHint("Write \"" + chosen.target.line->name() + "@" + text + "\" or \"" +
                    other.target.line->name() + "@" + text + "\".");
    }
  }
  return chosen.target;
}

bool SaysElsewhere(const Status& status) {
  return status.code() == Code::kNotFound || status.code() == Code::kOutsideWindow;
}

// A point that says where, not when: the current line with its ancestors, then the lines that held the name before.
Result<ResolvedTarget> FollowName(PlanningView* view, const PlanRequest& request,
                                  const LineHistory** line_out) {
  PITR_ASSIGN_OR_RETURN(const LineHistory* self, view->Line(request.self));
  *line_out = self;
  Result<ResolvedTarget> found = OnLine(*view, *self, request.point, request.inclusive);
  if (found.ok() || !SaysElsewhere(found.status())) {
    return found;
  }
  std::vector<Candidate> candidates;
  std::optional<Status> other_error;
  for (const BranchId& id : view->OlderLines(request.self)) {
    PITR_ASSIGN_OR_RETURN(const LineHistory* line, view->Line(id));
    Result<ResolvedTarget> there = OnLine(*view, *line, request.point, request.inclusive);
    if (there.ok()) {
      candidates.push_back({*there, line->WriterAt(there->start).branch.id});
    } else if (!SaysElsewhere(there.status()) && !other_error.has_value()) {
      other_error = there.status();
    }
  }
  if (candidates.empty()) {
    // A gap on an older line says more than that the current one does not reach so far.
    return other_error.has_value() ? Result<ResolvedTarget>(*other_error) : found;
  }
  *line_out = candidates.front().target.line;
  return ChooseCandidate(*view, candidates, request.point);
}

// The state that a deleted line showed is part of the current line as well: nothing was committed on it between the fork and then.
Result<bool> IsShared(PlanningView* view, const PlanRequest& request, const BranchId& deleted) {
  if (view->branches().FindId(deleted) == nullptr) {
    return false;
  }
  PITR_ASSIGN_OR_RETURN(const LineHistory* self, view->Line(request.self));
  const Result<ResolvedTarget> mine = OnLine(*view, *self, request.point, request.inclusive);
  const Result<const LineHistory*> line = view->Line(deleted);
  if (!mine.ok() || !line.ok()) {
    return false;
  }
  const Result<ResolvedTarget> theirs = OnLine(*view, **line, request.point, request.inclusive);
  return theirs.ok() && theirs->start == mine->start && theirs->end == mine->end &&
         (*line)->WriterAt(theirs->start).branch.id == self->WriterAt(mine->start).branch.id;
}

// What `self` may take in: a masked branch, and whoever works in one, gets nothing that was not masked.
Status CheckMayTake(const BranchSet& branches, const PlanRequest& request,
                    const LineHistory& line) {
  const Branch* self = branches.FindId(request.self);
  if (self == nullptr || self->id == line.branch()) {
    return Status::Ok();
  }
  const std::optional<BranchId> mine = branches.MaskedOrigin(self->id);
  const std::optional<BranchId> theirs = branches.MaskedOrigin(line.branch());
  if (mine.has_value() && mine != theirs) {
    return Status(Code::kPermission,
                  "branch \"" + self->name + "\" is masked, branch \"" + line.name() + "\" is not")
        .WithHint("Make a branch anew, with a masking_script, where that one is not masked.");
  }
  if (!request.for_new_branch && mine != theirs) {
    return Status(Code::kNotReady,
                  "branch \"" + line.name() + "\" is masked, branch \"" + self->name + "\" is not")
        .WithHint("Make a branch of it: pitr_create_branch(name, source).");
  }
  if (!request.for_new_branch && self->root != line.root()) {
    return Status(Code::kForeign, "branch \"" + line.name() + "\" is of another root line than \"" +
                                      self->name + "\"")
        .WithDetail("They have system identifiers " +
                    std::to_string(line.root().system_identifier) + " and " +
                    std::to_string(self->root.system_identifier) + ".")
        .WithHint("Make a branch of it: pitr_create_branch(name, source).");
  }
  return Status::Ok();
}

}  // namespace

Status PlanningView::ReadSnapshots() {
  PITR_ASSIGN_OR_RETURN(snapshots_, ListSnapshots(repo_, nullptr));
  return Status::Ok();
}

Result<const LineHistory*> PlanningView::Line(const BranchId& id) {
  std::unique_ptr<LineHistory>& line = lines_[id];
  if (line == nullptr) {
    PITR_ASSIGN_OR_RETURN(line, LineHistory::Open(repo_, branches_, id));
  }
  return static_cast<const LineHistory*>(line.get());
}

std::vector<BranchId> PlanningView::OlderLines(const BranchId& id) const {
  std::vector<BranchId> lines;
  const Branch* self = branches_.FindId(id);
  for (auto span = branches_.name_spans.rbegin(); span != branches_.name_spans.rend(); ++span) {
    const Branch* line = branches_.FindId(span->id);
    if (self != nullptr && span->name == self->name && span->id != id && line != nullptr &&
        !line->deleted_at.has_value() &&
        std::find(lines.begin(), lines.end(), span->id) == lines.end()) {
      lines.push_back(span->id);
    }
  }
  return lines;
}

Result<BranchId> FindSource(const BranchSet& branches, const BranchId& self,
                            const std::string& source) {
  if (source != "^self" && source != "^parent") {
    PITR_ASSIGN_OR_RETURN(const Branch* branch, branches.Find(source));
    return branch->id;
  }
  const Branch* branch = branches.FindId(self);
  if (branch == nullptr) {
    return Status(Code::kNotFound, "branch \"" + self + "\" not found");
  }
  if (source == "^self") {
    return branch->id;
  }
  if (!branch->parent.has_value()) {
    return Status(Code::kNoParent, "Branch has no parent");
  }
  PITR_ASSIGN_OR_RETURN(const Branch* parent, branches.Find(*branch->parent));
  return parent->id;
}

namespace {

Result<ResolvedTarget> Resolve(PlanningView* view, const PlanRequest& request,
                               const LineHistory** line_out) {
  const Point& point = request.point;
  if (point.kind == Point::Kind::kTime && point.time > request.now) {
    return Status(Code::kInvalidArgument,
                  "Timestamp can not be in future - " + FormatTime(point.time));
  }
  PITR_ASSIGN_OR_RETURN(BranchId id, FindSource(view->branches(), request.self, request.source));
  const bool follows_name = request.bare && id == request.self;
  if (follows_name && point.kind == Point::Kind::kTime) {
    id = LineShownAt(view->branches(), id, point.time);
    const Branch* shown = view->branches().FindId(id);
    if (shown == nullptr || shown->deleted_at.has_value()) {
      PITR_ASSIGN_OR_RETURN(const bool is_shared, IsShared(view, request, id));
      if (is_shared) {
        PITR_ASSIGN_OR_RETURN(*line_out, view->Line(request.self));
        return OnLine(*view, **line_out, point, request.inclusive);
      }
      return Status(Code::kOutsideWindow, FormatTime(point.time) + " lies on branch \"" +
                                              (shown == nullptr ? id : shown->name) +
                                              "\", which was deleted")
          .WithHint("pitr_undelete_branch() brings a branch back for 7 days.");
    }
  } else if (follows_name && point.kind != Point::Kind::kHead) {
    return FollowName(view, request, line_out);
  }
  PITR_ASSIGN_OR_RETURN(const LineHistory* line, view->Line(id));
  *line_out = line;
  return OnLine(*view, *line, point, request.inclusive);
}

}  // namespace

Result<ResolvedTarget> ResolveTarget(PlanningView* view, const PlanRequest& request,
                                     const LineHistory** line_out) {
  Result<ResolvedTarget> target = Resolve(view, request, line_out);
  // Asked first: what else is wrong with that line is nothing to tell.
  if (*line_out != nullptr) {
    PITR_RETURN_IF_ERROR(CheckMayTake(view->branches(), request, **line_out));
  }
  return target;
}

}  // namespace pitr
