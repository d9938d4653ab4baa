// Opening a line's history, and what is known of it from listings alone.
#include "core/plan/line_history.h"

#include <algorithm>

#include "core/plan/line_state.h"
#include "core/repo/wal_removals.h"

namespace pitr {

namespace {

// access/xlog_internal.h (15): XLOG_BLCKSZ, SizeOfXLogShortPHD, SizeOfXLogLongPHD.
constexpr std::uint64_t kPage = 8192, kShortHeader = 24, kLongHeader = 40;

}  // namespace

Lsn AsEnd(Lsn lsn, std::uint64_t segment_size) {
  const std::uint64_t in_segment = lsn.value % segment_size, in_page = lsn.value % kPage;
  if (in_segment <= kLongHeader) {
    return {lsn.value - in_segment};
  }
  return {in_page <= kShortHeader ? lsn.value - in_page : lsn.value};
}

Lsn AsStart(Lsn lsn, std::uint64_t segment_size) {
  const std::uint64_t in_segment = lsn.value % segment_size, in_page = lsn.value % kPage;
  if (in_segment < kLongHeader) {
    return {lsn.value - in_segment + kLongHeader};
  }
  return {in_page < kShortHeader ? lsn.value - in_page + kShortHeader : lsn.value};
}

LineHistory::LineHistory(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineHistory::~LineHistory() = default;

Result<std::unique_ptr<LineHistory>> LineHistory::Open(Repository* repo, const BranchSet& branches,
                                                       const BranchId& id) {
  PITR_ASSIGN_OR_RETURN(std::vector<LineSpan> lines, LinesOf(branches, id));
  const std::uint32_t segment_size = lines.front().branch.root.segment_size;
  if (!IsValidSegmentSize(segment_size)) {
    return Status(Code::kCorrupt, "branch \"" + lines.front().branch.name +
                                      "\" has the WAL segment size " +
                                      std::to_string(segment_size));
  }
  PITR_ASSIGN_OR_RETURN(std::vector<PathPart> path, PathOf(repo, lines));
  std::vector<Branch> line;
  for (const LineSpan& span : lines) {
    line.push_back(span.branch);
  }
  WalReader reader(repo, std::move(line));
  PITR_ASSIGN_OR_RETURN(Coverage coverage, Coverage::Read(reader, lines, path));
  auto state = std::make_unique<State>(std::move(lines), std::move(path), std::move(reader),
                                       std::move(coverage));
  PITR_RETURN_IF_ERROR(state->FindStretches());
  PITR_RETURN_IF_ERROR(state->FindRemovedHoles());
  return std::unique_ptr<LineHistory>(new LineHistory(std::move(state)));
}

std::size_t LineHistory::State::SlotBefore(Lsn lsn) const {
  const std::uint64_t number = SegmentNumberOf({lsn.value - 1}, segment_size());
  const auto found = std::lower_bound(
      slots().begin(), slots().end(), number,
      [](const Coverage::Slot& slot, std::uint64_t wanted) { return slot.number() < wanted; });
  return static_cast<std::size_t>(found - slots().begin());
}

// The last segment may hold no record's end, when a long one runs through it: then an earlier one does.
Result<Lsn> LineHistory::State::LastEnd(const Coverage::Run& run) const {
  for (std::size_t slot = run.last + 1; slot-- > run.first;) {
    PITR_ASSIGN_OR_RETURN(const SharedIndex index, cache.Joined(slot));
    const Lsn end = std::max(index->last_end, index->head_end);
    if (end.valid()) {
      return slots()[slot].whole ? end : std::min(end, slots()[slot].copy.end);
    }
  }
  return SegmentStart(slots()[run.first].number(), segment_size());
}

Status LineHistory::State::FindStretches() {
  for (const Coverage::Run& run : coverage.runs()) {
    Stretch stretch;
    stretch.begin = SegmentStart(slots()[run.first].number(), segment_size());
    PITR_ASSIGN_OR_RETURN(stretch.end, LastEnd(run));
    stretch.timeline = PartAt(path, {stretch.end.value - 1}).timeline;
    stretches.push_back(stretch);
  }
  return Status::Ok();
}

Status LineHistory::State::FindRemovedHoles() {
  if (coverage.runs().size() < 2) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const WalRemovals removals, ReadWalRemovals(reader.repo()));
  LsnRanges removed;
  for (const LineSpan& line : lines) {
    const auto found = removals.find(line.branch.id);
    if (found != removals.end()) {
      const Lsn end = line.end.valid() ? line.end : kEndOfWal;
      removed = United(removed, Common(found->second.removed, {{line.begin, end}}));
    }
  }
  for (std::size_t i = 1; i < coverage.runs().size(); i++) {
    const Coverage::Slot& last = slots()[coverage.runs()[i - 1].last];
    const std::uint64_t after = slots()[coverage.runs()[i].first].number();
    const LsnRange hole = {SegmentStart(last.number() + 1, segment_size()),
                           SegmentStart(after, segment_size())};
    if (last.whole && hole.begin < hole.end && Covers(removed, hole)) {
      removed_holes.push_back({stretches[i - 1].end, stretches[i].begin});
    }
  }
  return Status::Ok();
}

bool LineHistory::IsRemoved(Lsn begin, Lsn end) const {
  return !Common(state_->removed_holes, {{begin, end}}).empty();
}

const BranchId& LineHistory::branch() const { return state_->lines.front().branch.id; }
const std::string& LineHistory::name() const { return state_->lines.front().branch.name; }
const RootIdentity& LineHistory::root() const { return state_->lines.front().branch.root; }
const std::vector<PathPart>& LineHistory::path() const { return state_->path; }
const std::vector<LineSpan>& LineHistory::lines() const { return state_->lines; }
const std::vector<Stretch>& LineHistory::stretches() const { return state_->stretches; }
const WalReader& LineHistory::reader() const { return state_->reader; }
std::uint64_t LineHistory::bodies_read() const { return state_->cache.bodies_read(); }
TimelineId LineHistory::TimelineAt(Lsn lsn) const { return PartAt(state_->path, lsn).timeline; }

const LineSpan& LineHistory::WriterAt(Lsn lsn) const {
  for (const LineSpan& line : state_->lines) {
    if (line.begin <= lsn) {
      return line;
    }
  }
  return state_->lines.back();
}

std::vector<LineHistory::PathSegment> LineHistory::SegmentsBetween(Lsn begin, Lsn end) const {
  std::vector<PathSegment> segments;
  const std::uint64_t size = state_->segment_size();
  const Lsn stop = AsEnd(end, size);
  if (!(begin < stop)) {
    return segments;
  }
  const TimelineId timeline = TimelineAt({stop.value - 1});
  const std::uint64_t last = SegmentNumberOf({stop.value - 1}, size);
  for (std::uint64_t number = SegmentNumberOf(begin, size); number <= last; number++) {
    const Lsn needed = std::min(stop, SegmentStart(number + 1, size));
    PathSegment segment;
    if (const SegmentCopy* copy = state_->coverage.CopyFor(number, needed, timeline)) {
      segment = {copy->segment, true, copy->tail_only, copy->stored_bytes};
    } else {
      segment.segment = {TimelineAt({needed.value - 1}), number};
    }
    segments.push_back(segment);
  }
  return segments;
}

Result<std::size_t> LineHistory::StretchAt(Lsn lsn) const {
  const std::vector<Stretch>& all = state_->stretches;
  const Lsn end = AsEnd(lsn, state_->segment_size());
  if (all.empty()) {
    return Status(Code::kOutsideWindow, "no WAL of branch \"" + name() + "\" is in the repository");
  }
  for (std::size_t i = all.size(); i-- > 0;) {
    if (all[i].begin <= end) {
      if (end <= all[i].end) {
        return i;
      }
      if (i + 1 == all.size()) {
        return Status(Code::kOutsideWindow, lsn.ToString() + " lies beyond the WAL of branch \"" +
                                                name() + "\" in the repository, which ends at " +
                                                all[i].end.ToString());
      }
      if (IsRemoved(all[i].end, all[i + 1].begin)) {
        return Status(Code::kOutsideWindow,
                      lsn.ToString() + " lies outside the restore window of branch \"" + name() +
                          "\": WAL from " + all[i].end.ToString() + " to " +
                          all[i + 1].begin.ToString() + " was removed");
      }
      return Status(Code::kGap, lsn.ToString() + " lies in a gap of the WAL of branch \"" + name() +
                                    "\": nothing is held from " + all[i].end.ToString() + " to " +
                                    all[i + 1].begin.ToString());
    }
  }
  return Status(Code::kOutsideWindow, lsn.ToString() + " lies before the WAL of branch \"" +
                                          name() + "\" in the repository, which begins at " +
                                          all.front().begin.ToString());
}

}  // namespace pitr
