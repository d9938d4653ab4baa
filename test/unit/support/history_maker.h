// Histories for tests of planning: lines of WAL as servers would write and ship them, snapshots, branches and the
// names that they showed. Everything lies in a repository in memory.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/plan/restore_plan.h"
#include "core/repo/layout.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"
#include "unit/support/wal_builder.h"

namespace pitr {

// 2026-11-20T10:00:00Z and so many seconds.
inline Timestamp At(double seconds) {
  return {1795168800000000LL + static_cast<std::int64_t>(seconds * 1e6)};
}

template <typename T>
T Take(Result<T> result) {
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? std::move(*result) : T();
}

// A record, and the WAL up to it: a line can be forked off there.
struct Moment {
  Lsn start, end;
  Timestamp time;
  Xid xid = 0;
  TimelineId timeline = 0;
  std::shared_ptr<const wal::WalBuilder> wal;  // nullptr: no line can be forked off here
};

class HistoryMaker;

// One line: what its server writes next goes behind what it has written.
class TestLine {
 public:
  TestLine(HistoryMaker* maker, BranchId line, TimelineId tli, wal::WalBuilder written,
           std::uint64_t first_own)
      : wal(std::move(written)),
        id(std::move(line)),
        timeline(tli),
        maker_(maker),
        shipped_(first_own) {}

  Moment Commit(double seconds);
  Moment Abort(double seconds);
  Moment Prepare(double seconds, const std::string& gid);
  Moment RestorePoint(double seconds, const std::string& name);
  // Something without a moment, of so many bytes.
  TestLine& Write(std::uint32_t bytes = 200) {
    wal.Filler(bytes);
    return *this;
  }
  TestLine& Switch() {
    wal.Switch();
    return *this;
  }
  Moment Now(Timestamp time = {}, Xid xid = 0) const {
    return {wal.last_start(),
            wal.last_end(),
            time,
            xid,
            timeline,
            keeps_wal ? std::make_shared<const wal::WalBuilder>(wal) : nullptr};
  }
  // Whole segments that are not shipped yet, and the open one as a tail piece.
  TestLine& Ship(bool with_tail = true);
  // A base backup from here: start, a record or two, stop. Shipped with the rest.
  SnapshotId Snapshot(double finished, const std::string& name = "");
  std::uint64_t Segment() const { return SegmentNumberOf(wal.next(), maker_size()); }

  wal::WalBuilder wal;
  BranchId id;
  TimelineId timeline;
  bool keeps_wal = true;  // in each moment: memory of all that was written

 private:
  std::uint64_t maker_size() const;

  HistoryMaker* maker_;
  std::uint64_t shipped_;  // number of the first segment that is not shipped
};

class HistoryMaker {
 public:
  HistoryMaker() : shared_(std::make_shared<MemoryObjects>()) {
    repo_ = Take(Repository::Open(std::make_unique<MemoryStore>(shared_), true));
  }

  // A server that begins to archive at segment 2 of timeline 1.
  TestLine Root(const std::string& name, double created = 0);
  // A line that leaves `from` right behind `moment`, on its own new timeline, with its history file and first records.
  // It takes the name of `renamed` (which becomes `old_name`), or is called `old_name` itself when there is none.
  TestLine RestoreOver(const TestLine& renamed, const std::string& old_name, const TestLine& from,
                       const Moment& moment, TimelineId timeline, double seconds);
  TestLine Fork(const std::string& name, const TestLine& from, const Moment& moment,
                TimelineId timeline, double seconds);
  // The undo: `back` gets the name of `now`, which becomes `old_name`.
  void Exchange(const TestLine& now, const std::string& old_name, const TestLine& back,
                double seconds);
  void AddBranch(const std::string& name, const TestLine& from, const Moment& moment,
                 const BranchId& id, double seconds);

  void ShipFile(const BranchId& id, const std::string& name, ByteView bytes);
  void ShipTail(const BranchId& id, SegmentId segment, ByteView bytes, std::uint32_t flushed);
  void RemoveSegment(const BranchId& id, SegmentId segment);
  void AddSnapshot(Manifest manifest);

  PlanRequest Bare(const TestLine& self, const std::string& text, bool inclusive = true);
  PlanRequest BareTime(const TestLine& self, Timestamp time, bool inclusive = true);
  PlanRequest Source(const TestLine& self, const std::string& text, bool inclusive = true);
  Result<RestorePlan> Plan(const PlanRequest& request, RestorePlan* partial = nullptr,
                           std::vector<std::string>* missing = nullptr) {
    return PlanRestore(repo(), set, request, partial, missing);
  }
  std::unique_ptr<LineHistory> Open(const BranchId& id) {
    Result<std::unique_ptr<LineHistory>> line = LineHistory::Open(repo(), set, id);
    EXPECT_TRUE(line.ok()) << line.status().ToString();
    return line.ok() ? std::move(*line) : nullptr;
  }

  Repository* repo() { return repo_.get(); }
  const std::shared_ptr<MemoryObjects>& objects() { return shared_; }
  Xid NextXid() { return xid_++; }

  const RootIdentity root = wal::TestRoot();
  BranchSet set;
  Timestamp now = At(1e6);
  Manifest snapshot_model;  // settings of the snapshots that are made

 private:
  BranchId NewId();
  TestLine Begin(const Moment& moment, const BranchId& id, TimelineId timeline);
  ShipOptions Options(const BranchId& id);

  std::shared_ptr<MemoryObjects> shared_;
  std::unique_ptr<Repository> repo_;
  TempDir dir_;
  Xid xid_ = 700;
  int ids_ = 0;
  std::map<TimelineId, std::string> histories_;
};

}  // namespace pitr
