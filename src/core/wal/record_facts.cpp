#include "core/wal/record_facts.h"

#include <algorithm>

namespace pitr::wal {

namespace {

// The bytes before the first zero, or all.
std::string TextUntilZero(ByteView bytes) {
  const std::string_view text = AsText(bytes);
  return std::string(text.substr(0, text.find('\0')));
}

void AddTime(Timestamp time, SegmentIndex* index) {
  const bool first = index->min_time == Timestamp{} && index->max_time == Timestamp{};
  index->min_time = first ? time : std::min(index->min_time, time);
  index->max_time = first ? time : std::max(index->max_time, time);
}

bool AddTransactionEnd(const RawRecord& raw, const RecordBody& body, EventKind kind,
                       SegmentIndex* index) {
  TransactionEnd end;
  if (!DecodeTransactionEnd(raw.header, body, index->root.server_major, &end)) {
    return false;
  }
  const Xid xid = end.prepared_xid != 0 ? end.prepared_xid : raw.header.xid;
  index->events.push_back({kind, raw.start, raw.end, xid, end.time, std::string(end.gid)});
  AddTime(end.time, index);
  for (std::size_t at = 0; at < end.relations.size(); at += block::kRelation) {
    index->relation_drops.push_back({raw.start, LoadRelation(end.relations.data() + at, 0)});
  }
  index->lists_cut = index->lists_cut || end.cut;
  return true;
}

bool AddPrepare(const RawRecord& raw, ByteView main, SegmentIndex* index) {
  if (main.size() < xact::kPrepareSize) {
    return false;
  }
  const std::size_t gid_size = Load16(main.data() + xact::kPrepareGidLength);
  if (gid_size > xact::kGidMax || main.size() - xact::kPrepareSize < gid_size) {
    return false;
  }
  index->events.push_back({EventKind::kPrepare, raw.start, raw.end,
                           Load32(main.data() + xact::kPrepareXid),
                           LoadTime(main.data() + xact::kPrepareTime),
                           TextUntilZero(main.subspan(xact::kPrepareSize, gid_size))});
  return true;
}

bool AddTransaction(const RawRecord& raw, const RecordBody& body, SegmentIndex* index) {
  switch (raw.header.info & xact::kOpMask) {
    case xact::kCommit:
      return AddTransactionEnd(raw, body, EventKind::kCommit, index);
    case xact::kAbort:
      return AddTransactionEnd(raw, body, EventKind::kAbort, index);
    case xact::kCommitPrepared:
      return AddTransactionEnd(raw, body, EventKind::kCommitPrepared, index);
    case xact::kAbortPrepared:
      return AddTransactionEnd(raw, body, EventKind::kAbortPrepared, index);
    case xact::kPrepare:
      return AddPrepare(raw, body.main_data, index);
    default:
      return true;  // assignments and invalidations
  }
}

bool AddParameterChange(Lsn start, ByteView main, SegmentIndex* index) {
  if (main.size() < xlog::kParameterChangeMin) {
    return false;
  }
  const auto number = [&](std::size_t at) {
    return static_cast<std::int32_t>(Load32(main.data() + at));
  };
  ParameterChange change;
  change.start = start;
  change.max_connections = number(0);
  change.max_worker_processes = number(4);
  change.max_wal_senders = number(8);
  change.max_prepared_transactions = number(12);
  change.max_locks_per_transaction = number(16);
  change.wal_level = number(20);
  change.wal_log_hints = main[24] != 0;
  change.track_commit_timestamp = main[25] != 0;
  index->parameter_changes.push_back(change);
  return true;
}

bool AddCheckpoint(const RawRecord& raw, ByteView main, SegmentIndex* index) {
  const bool end_of_recovery = raw.header.operation() == xlog::kEndOfRecovery;
  if (main.size() < (end_of_recovery ? xlog::kEndOfRecoveryMin : xlog::kCheckpointMin)) {
    return false;
  }
  CheckpointRecord checkpoint;
  checkpoint.start = raw.start;
  checkpoint.redo.value = end_of_recovery ? 0 : Load64(main.data());
  checkpoint.timeline = Load32(main.data() + 8);
  checkpoint.previous_timeline = Load32(main.data() + 12);
  checkpoint.shutdown = raw.header.operation() == xlog::kCheckpointShutdown;
  checkpoint.end_of_recovery = end_of_recovery;
  index->checkpoints.push_back(checkpoint);
  return true;
}

bool AddXlog(const RawRecord& raw, ByteView main, SegmentIndex* index) {
  switch (raw.header.operation()) {
    case xlog::kCheckpointShutdown:
    case xlog::kCheckpointOnline:
    case xlog::kEndOfRecovery:
      return AddCheckpoint(raw, main, index);
    case xlog::kParameterChange:
      return AddParameterChange(raw.start, main, index);
    case xlog::kRestorePoint:
      if (main.size() < xlog::kRestorePointSize) {
        return false;
      }
      index->events.push_back({EventKind::kRestorePoint, raw.start, raw.end, 0,
                               LoadTime(main.data()),
                               TextUntilZero(main.subspan(8, xlog::kRestorePointName))});
      return true;
    default:
      return true;
  }
}

bool AddStorage(const RawRecord& raw, ByteView main, SegmentIndex* index) {
  const std::uint8_t* p = main.data();
  switch (raw.header.operation()) {
    case smgr::kCreate:
      if (main.size() < smgr::kCreateSize || p[12] > block::kForkMask) {
        return false;
      }
      index->relation_creates.push_back({raw.start, LoadRelation(p, p[12])});
      return true;
    case smgr::kTruncate:
      if (main.size() < smgr::kTruncateSize) {
        return false;
      }
      index->truncations.push_back({raw.start, LoadRelation(p + 4, 0), Load32(p), Load32(p + 16)});
      return true;
    default:
      return true;
  }
}

bool AddDatabase(const RawRecord& raw, ByteView main, SegmentIndex* index) {
  const std::uint8_t* p = main.data();
  switch (raw.header.operation()) {
    case dbase::kCreateFileCopy:
    case dbase::kCreateWalLog: {
      if (main.size() < dbase::kCreateMin) {
        return false;
      }
      const bool by_copy = raw.header.operation() == dbase::kCreateFileCopy;
      index->database_events.push_back(
          {by_copy ? DatabaseEventKind::kCreateFileCopy : DatabaseEventKind::kCreateWalLog,
           raw.start, Load32(p), Load32(p + 4)});
      return true;
    }
    case dbase::kDrop: {
      if (main.size() < dbase::kDropMin ||
          (main.size() - dbase::kDropMin) / 4 < std::uint64_t{Load32(p + 4)}) {
        return false;
      }
      for (std::uint32_t i = 0; i < Load32(p + 4); i++) {
        index->database_events.push_back({DatabaseEventKind::kDrop, raw.start, Load32(p),
                                          Load32(p + dbase::kDropMin + std::size_t{4} * i)});
      }
      return true;
    }
    default:
      return true;
  }
}

void AddForeignManager(const RecordHeader& header, SegmentIndex* index) {
  std::vector<std::uint8_t>& ids = index->custom_resource_managers;
  if (header.resource_manager >= rmgr::kFirstCustom) {
    const auto at = std::lower_bound(ids.begin(), ids.end(), header.resource_manager);
    if (at == ids.end() || *at != header.resource_manager) {
      ids.insert(at, header.resource_manager);
    }
  }
  if ((header.info & record::kSpecialRelationUpdate) != 0) {
    index->unexplained_changes = true;
  }
}

}  // namespace

bool AddFacts(const RawRecord& raw, const RecordBody& body, SegmentIndex* index) {
  bool ok = true;
  switch (raw.header.resource_manager) {
    case rmgr::kXlog:
      ok = AddXlog(raw, body.main_data, index);
      break;
    case rmgr::kTransaction:
      ok = AddTransaction(raw, body, index);
      break;
    case rmgr::kStorage:
      ok = AddStorage(raw, body.main_data, index);
      break;
    case rmgr::kDatabase:
      ok = AddDatabase(raw, body.main_data, index);
      break;
    default:
      AddForeignManager(raw.header, index);
      break;
  }
  if (!ok) {
    return false;
  }
  if (!index->first_start.valid()) {
    index->first_start = raw.start;
  }
  index->last_start = raw.start;
  index->last_end = raw.end;
  index->records++;
  return true;
}

}  // namespace pitr::wal
