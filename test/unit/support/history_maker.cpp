#include "unit/support/history_maker.h"

#include <cstdio>

#include "core/repo/tail.h"

namespace pitr {

Moment TestLine::Commit(double seconds) {
  const Xid xid = maker_->NextXid();
  wal.Commit(xid, At(seconds));
  return Now(At(seconds), xid);
}

Moment TestLine::Abort(double seconds) {
  const Xid xid = maker_->NextXid();
  wal.Abort(xid, At(seconds));
  return Now(At(seconds), xid);
}

Moment TestLine::Prepare(double seconds, const std::string& gid) {
  const Xid xid = maker_->NextXid();
  wal.Prepare(xid, At(seconds), gid);
  return Now(At(seconds), xid);
}

Moment TestLine::RestorePoint(double seconds, const std::string& name) {
  wal.RestorePoint(name, At(seconds));
  return Now(At(seconds));
}

std::uint64_t TestLine::maker_size() const { return maker_->root.segment_size; }

TestLine& TestLine::Ship(bool with_tail) {
  const std::uint64_t size = maker_size();
  const std::uint64_t open = Segment();
  const std::uint64_t first = open + 1 - wal.SegmentCount();
  const bool is_open_begun = wal.last_end() > SegmentStart(open, size);
  // A segment that a switch has just ended is the last one begun.
  const std::uint64_t base = is_open_begun ? first : first - 1;
  for (; shipped_ < open; shipped_++) {
    maker_->ShipFile(id, SegmentName({timeline, shipped_}, size),
                     wal.Segment(static_cast<std::size_t>(shipped_ - base)));
  }
  if (with_tail && is_open_begun) {
    maker_->ShipTail(id, {timeline, open}, wal.Segment(static_cast<std::size_t>(open - base)),
                     static_cast<std::uint32_t>(wal.last_end().value % size));
  }
  return *this;
}

SnapshotId TestLine::Snapshot(double finished, const std::string& name) {
  Manifest manifest = maker_->snapshot_model;
  manifest.start_lsn = wal.next();
  wal.Checkpoint(wal.next());
  wal.Filler(64);
  manifest.stop_lsn = wal.last_end();
  manifest.name = name;
  manifest.branch = id;
  manifest.timeline = timeline;
  manifest.started_at = At(finished - 1);
  manifest.finished_at = At(finished);
  manifest.id = "sn-20261120T100000-" + std::to_string(10000000 + maker_->NextXid());
  maker_->AddSnapshot(manifest);
  return manifest.id;
}

BranchId HistoryMaker::NewId() { return "br-test-line-" + std::to_string(++ids_); }

ShipOptions HistoryMaker::Options(const BranchId& id) {
  ShipOptions options;
  options.branch = id;
  options.root = root;
  options.compression_level = 1;
  return options;
}

void HistoryMaker::ShipFile(const BranchId& id, const std::string& name, ByteView bytes) {
  const std::string path = dir_ / name;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  const Result<ShipResult> shipped = ShipWalFile(repo(), Options(id), path, name);
  EXPECT_TRUE(shipped.ok()) << name << ": " << shipped.status().ToString();
  std::remove(path.c_str());  // before the kernel begins to write it
}

void HistoryMaker::ShipTail(const BranchId& id, SegmentId segment, ByteView bytes,
                            std::uint32_t flushed) {
  const std::string path = dir_ / "tail";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  const Result<ShipResult> shipped = pitr::ShipTail(repo(), Options(id), path, segment, flushed);
  EXPECT_TRUE(shipped.ok()) << shipped.status().ToString();
  std::remove(path.c_str());
}

void HistoryMaker::RemoveSegment(const BranchId& id, SegmentId segment) {
  const std::string name = SegmentName(segment, root.segment_size);
  const std::string object =
      layout::WalObject(id, {WalFileKind::kSegment, segment.timeline, segment.number, 0}, name);
  EXPECT_TRUE(repo()->store()->Stat(object).ok()) << object;
  EXPECT_TRUE(repo()->store()->Remove(object).ok());
}

void HistoryMaker::AddSnapshot(Manifest manifest) {
  manifest.root = root;
  manifest.backup_label = "START WAL LOCATION\n";
  const Status written = WriteManifest(repo(), manifest);
  EXPECT_TRUE(written.ok()) << written.ToString();
}

TestLine HistoryMaker::Root(const std::string& name, double created) {
  Branch branch;
  branch.id = NewId();
  branch.name = name;
  branch.root = root;
  branch.created_at = branch.updated_at = At(created);
  set.Add(branch);
  wal::WalBuilder wal(root, 1, SegmentStart(2, root.segment_size));
  return TestLine(this, branch.id, 1, wal, 2);
}

void HistoryMaker::AddBranch(const std::string& name, const TestLine& from, const Moment& moment,
                             const BranchId& id, double seconds) {
  Branch branch;
  branch.id = id;
  branch.name = name;
  branch.kind = BranchKind::kChild;
  branch.root = root;
  branch.ancestor = from.id;
  branch.parent = from.id;
  branch.fork_lsn = moment.end;
  branch.fork_timeline = moment.timeline;
  branch.created_at = branch.updated_at = At(seconds);
  set.Add(branch);
}

TestLine HistoryMaker::Begin(const Moment& moment, const BranchId& id, TimelineId timeline) {
  const std::string before = moment.timeline == 1 ? "" : histories_.at(moment.timeline);
  histories_[timeline] = before + std::to_string(moment.timeline) + "\t" + moment.end.ToString() +
                         "\tbefore a restore\n";
  ShipFile(id, HistoryName(timeline), AsBytes(histories_[timeline]));
  const std::uint64_t first = SegmentNumberOf(moment.wal->next(), root.segment_size);
  TestLine line(this, id, timeline, *moment.wal, first);
  line.wal.Timeline(timeline);
  line.wal.EndOfRecovery(timeline, moment.timeline);
  return line;
}

TestLine HistoryMaker::RestoreOver(const TestLine& renamed, const std::string& old_name,
                                   const TestLine& from, const Moment& moment, TimelineId timeline,
                                   double seconds) {
  const std::string name = set.FindId(renamed.id)->name;
  const BranchId id = NewId();
  set.Rename(renamed.id, old_name, At(seconds));
  AddBranch(name, from, moment, id, seconds);
  return Begin(moment, id, timeline);
}

TestLine HistoryMaker::Fork(const std::string& name, const TestLine& from, const Moment& moment,
                            TimelineId timeline, double seconds) {
  const BranchId id = NewId();
  AddBranch(name, from, moment, id, seconds);
  return Begin(moment, id, timeline);
}

void HistoryMaker::Exchange(const TestLine& now_shown, const std::string& old_name,
                            const TestLine& back, double seconds) {
  const std::string name = set.FindId(now_shown.id)->name;
  set.Rename(now_shown.id, old_name, At(seconds));
  set.Rename(back.id, name, At(seconds));
}

PlanRequest HistoryMaker::Bare(const TestLine& self, const std::string& text, bool inclusive) {
  PlanRequest request;
  request.self = self.id;
  request.bare = true;
  request.inclusive = inclusive;
  request.now = now;
  const std::optional<Point> point = Take(ParseBareTarget(text));
  EXPECT_TRUE(point.has_value()) << text;
  request.point = point.value_or(Point());
  return request;
}

PlanRequest HistoryMaker::BareTime(const TestLine& self, Timestamp time, bool inclusive) {
  PlanRequest request;
  request.self = self.id;
  request.bare = true;
  request.inclusive = inclusive;
  request.now = now;
  request.point.kind = Point::Kind::kTime;
  request.point.time = time;
  return request;
}

PlanRequest HistoryMaker::Source(const TestLine& self, const std::string& text, bool inclusive) {
  PlanRequest request;
  request.self = self.id;
  request.inclusive = inclusive;
  request.now = now;
  const SourcePoint parsed = Take(ParseSourcePoint(
      text, [this](std::string_view name) { return set.FindName(name) != nullptr; }, now));
  request.source = parsed.source;
  request.point = parsed.point;
  return request;
}

}  // namespace pitr
