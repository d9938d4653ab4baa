#include "pg/tail.h"

#include <signal.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/types/wal_name.h"
#include "pg/archive_claims.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/guc.h"
#include "pg/operation_state.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/synchronous.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "storage/latch.h"
}

namespace pitr::pg {

namespace {

constexpr Lsn kNoLimit{UINT64_MAX};

std::uint64_t SegmentSize() { return static_cast<std::uint64_t>(wal_segment_size); }

Lsn StartOfSegment(Lsn lsn) { return {lsn.value - lsn.value % SegmentSize()}; }

bool IsAlive(std::int32_t pid) { return pid != 0 && ::kill(pid, 0) == 0; }

TailShared CopyTail() {
  const LockHolder lock(ArchiveLock(), false);
  return GetShared()->tail;
}

}  // namespace

Tail::Position Tail::LookAtServer() {
  // The time first: all that was flushed by then lies before the position.
  const Timestamp now = SystemClock().Now();
  struct Raw {
    XLogRecPtr flushed;
    TimeLineID timeline;
  };
  const Raw raw = Call([] {
    Raw found{};
    found.flushed = RecoveryInProgress() ? GetXLogReplayRecPtr(&found.timeline)
                                         : GetFlushRecPtr(&found.timeline);
    return found;
  });
  return {{raw.flushed}, raw.timeline, now};
}

bool Tail::IsBehind(Reach reach) {
  const Position position = LookAtServer();
  times_.Note(position.flushed, position.at);
  if (durable_.valid()) {
    Advance(durable_, position.at);
  }
  const Lsn goal =
      reach == Reach::kFinishedSegments ? StartOfSegment(position.flushed) : position.flushed;
  return goal > durable_;
}

Status Tail::Open() {
  PITR_RETURN_IF_ERROR(shipper_.Open());
  if (!writer_.has_value() || writer_opened_ != shipper_.opened()) {
    writer_.emplace(shipper_.repository(),
                    shipper_.Options(CurrentSettings().backlog_compression_level));
    writer_opened_ = shipper_.opened();
  }
  if (destination_ != shipper_.destination()) {
    destination_ = shipper_.destination();
    durable_ = Lsn();
    whole_.clear();
    const LockHolder lock(OperationsLock());
    GetShared()->operations.ship_done = 0;
  }
  return Status::Ok();
}

void Tail::Close() {
  writer_.reset();
  shipper_.Close();
}

// The segment that was open at the last look ended since. Its rest goes the same way: what follows must not wait until somebody
// has shipped all of it once more.
Status Tail::FinishSegment(SegmentId open) {
  const std::optional<SegmentId> segment = writer_->segment();
  const auto size = static_cast<std::uint32_t>(SegmentSize());
  if (!segment || segment->timeline != open.timeline || segment->number >= open.number ||
      writer_->reached() == 0 || writer_->reached() == size) {
    return Status::Ok();
  }
  const std::string name = SegmentName(*segment, size);
  if (!IsReady(name.c_str()) || NotedShipped(destination_).contains(name)) {
    return Status::Ok();
  }
  const Status shipped = writer_->Ship(JoinPath(XLOGDIR, name), *segment, size).status();
  if (shipped.ok()) {
    whole_.insert(name);
  }
  // Archived and let go in the meantime.
  return shipped.code() == Code::kNotFound ? Status::Ok() : shipped;
}

Status Tail::ShipPiece(const Position& position) {
  const std::uint64_t size = SegmentSize();
  const auto offset = static_cast<std::uint32_t>(position.flushed.value % size);
  const SegmentId segment{position.timeline, position.flushed.value / size};
  PITR_RETURN_IF_ERROR(FinishSegment(segment));
  if (offset == 0) {
    return Status::Ok();  // finished, and waits as a whole
  }
  PITR_RETURN_IF_ERROR(shipper_.ShipHistory(position.timeline));
  return writer_->Ship(JoinPath(XLOGDIR, SegmentName(segment, size)), segment, offset).status();
}

// Start of the first segment before the open one that is not in the repository. Their `.ready` files are there before the flush
// position that we have read was shown (XLogWrite, xlog.c of 15 to 18).
Result<Lsn> Tail::FirstWaiting(Lsn open_segment, Reach reach) {
  PITR_ASSIGN_OR_RETURN(const ReadyFiles ready, ListReadyFiles(kArchiveEntries));
  if (ready.names.empty()) {
    whole_.clear();
    return kNoLimit;
  }
  std::set<std::string> noted = whole_;
  if (reach != Reach::kFinishedSegments) {
    noted.merge(NotedShipped(destination_));
  }
  Lsn first = kNoLimit;
  for (const std::string& name : ready.names) {
    const std::optional<WalFileName> file = ParseWalFileName(name, SegmentSize());
    if (file && file->kind == WalFileKind::kSegment && !noted.contains(name)) {
      first = std::min(first, SegmentStart(file->segment, SegmentSize()));
    }
  }
  return first < open_segment ? first : kNoLimit;
}

void Tail::Advance(Lsn durable, Timestamp now) {
  const Timestamp flushed_by = times_.FlushedBy(durable);
  durable_ = durable;
  bool has_advanced = false;
  {
    const LockHolder lock(ArchiveLock());
    TailShared& tail = GetShared()->tail;
    has_advanced = tail.durable_lsn != durable.value;
    if (has_advanced) {
      tail.durable_lsn = durable.value;
      tail.advanced_at = now.micros;
    }
    tail.flushed_by = flushed_by.micros;
  }
  if (has_advanced) {
    WakeConfirmer();
  }
}

Status Tail::Ship(Reach reach) {
  Position position = LookAtServer();
  Lsn durable = StartOfSegment(position.flushed);
  if (reach != Reach::kFinishedSegments) {
    PITR_RETURN_IF_ERROR(Open());
    // Opening may have taken its time.
    position = LookAtServer();
    if (reach == Reach::kEverything) {
      PITR_RETURN_IF_ERROR(shipper_.ShipWaiting());
    }
    PITR_RETURN_IF_ERROR(ShipPiece(position));
    durable = position.flushed;
  }
  times_.Note(position.flushed, position.at);
  PITR_ASSIGN_OR_RETURN(const Lsn limit, FirstWaiting(StartOfSegment(position.flushed), reach));
  // Pieces of a segment that waits by now hold what they held.
  Advance(std::max(durable_, std::min(durable, limit)), SystemClock().Now());
  if (reach != Reach::kFinishedSegments) {
    const LockHolder lock(OperationsLock());
    GetShared()->operations.ship_done = durable_.value;
  }
  // Only now: commits may wait for what was said above, and for nothing that is removed.
  return writer_.has_value() ? writer_->RemoveTakenIn() : Status::Ok();
}

Status Tail::RemoveReplaced() {
  return writer_.has_value() ? writer_->RemoveReplaced() : Status::Ok();
}

bool IsShipAsked() {
  const LockHolder lock(OperationsLock(), false);
  const OperationsShared& shared = GetShared()->operations;
  return shared.ship_wanted > shared.ship_done;
}

Status AnswerShipRequest(Tail* tail) {
  Status status = tail->Ship(Tail::Reach::kEverything);
  // Whoever is at one of the files will be done with it: nothing to give up for.
  const std::string error = status.code() == Code::kNotReady ? std::string() : status.ToString();
  const std::int64_t now = SystemClock().Now().micros;
  const LockHolder lock(OperationsLock());
  OperationsShared& shared = GetShared()->operations;
  CopyText(status.ok() ? std::string_view() : std::string_view(error), shared.ship_error,
           sizeof shared.ship_error);
  shared.ship_tried_at = now;
  return status;
}

bool BecomeTailShipper() {
  const std::int32_t other = CopyTail().pid;
  if (other != MyProcPid && IsAlive(other)) {
    return false;
  }
  const LockHolder lock(ArchiveLock());
  GetShared()->tail.pid = MyProcPid;
  GetShared()->tail.latch = reinterpret_cast<std::uint64_t>(MyLatch);
  return true;
}

bool HasTailShipper() { return IsAlive(CopyTail().pid); }

void WakeTailShipper() {
  const TailShared tail = CopyTail();
  std::uint64_t latch = tail.latch;
  if (!IsAlive(tail.pid)) {
    const LockHolder lock(OperationsLock(), false);
    latch = GetShared()->operations.launcher_latch;
  }
  if (latch != 0) {
    SetLatch(reinterpret_cast<Latch*>(latch));
  }
}

Lsn ReadDurableLsn() { return {CopyTail().durable_lsn}; }

TailReport ReadTailReport(Timestamp now) {
  TailReport report;
  const TailShared tail = CopyTail();
  report.durable = {tail.durable_lsn};
  if (tail.advanced_at != 0) {
    report.advanced_at = Timestamp{tail.advanced_at};
  }
  if (report.durable.valid() && tail.flushed_by != 0 && IsAlive(tail.pid)) {
    const bool is_behind = FlushLsn() > report.durable;
    report.behind_micros = is_behind ? std::max<std::int64_t>(0, now.micros - tail.flushed_by) : 0;
  }
  return report;
}

}  // namespace pitr::pg
