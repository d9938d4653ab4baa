#include "unit/support/wal_builder.h"

#include <algorithm>
#include <cassert>

#include "core/base/hash.h"
#include "core/wal/layout.h"

namespace pitr::wal {

namespace {

constexpr std::uint8_t kHeap = 10, kLogicalMessage = 21;
constexpr std::uint8_t kOverwriteContrecord = 0xD0;

void PutRelation(const RelFork& relation, ByteWriter* out) {
  out->U32(relation.tablespace);
  out->U32(relation.database);
  out->U32(relation.relation);
}

void PutTime(Timestamp time, ByteWriter* out) {
  out->U64(static_cast<std::uint64_t>(ToPostgresTime(time)));
}

void PutText(std::string_view text, ByteWriter* out) {
  out->Raw(AsBytes(text));
  out->U8(0);
}

}  // namespace

WalBuilder::WalBuilder(const RootIdentity& root, TimelineId timeline, Lsn start)
    : root_(root), timeline_(timeline), start_(start) {
  assert(start.value % root.segment_size == 0);
}

void WalBuilder::OpenPage(std::uint32_t remaining, std::uint16_t flags) {
  assert(bytes_.size() % kPageSize == 0);
  const Lsn address = at();
  const bool is_long = address.value % root_.segment_size == 0;
  ByteWriter out(&bytes_);
  out.U16(PageMagic(root_.server_major));
  out.U16(static_cast<std::uint16_t>((is_long ? page::kHasLongHeader : 0) | flags));
  out.U32(timeline_);
  out.U64(address.value);
  out.U32(remaining);
  out.U32(0);
  if (is_long) {
    out.U64(root_.system_identifier);
    out.U32(root_.segment_size);
    out.U32(kPageSize);
  }
}

Lsn WalBuilder::next() const {
  if (bytes_.size() % kPageSize != 0) {
    return at();
  }
  const bool is_long = at().value % root_.segment_size == 0;
  return at() + (is_long ? page::kLongHeader : page::kShortHeader);
}

pitr::Bytes WalBuilder::Compose(const WalRecord& record) {
  pitr::Bytes body, data;
  ByteWriter out(&body);
  std::uint8_t id = 0;
  for (const WalBlock& b : record.blocks) {
    out.U8(id++);
    out.U8(static_cast<std::uint8_t>(b.relation.fork | (b.image ? block::kHasImage : 0) |
                                     (b.data_size > 0 ? block::kHasData : 0)));
    out.U16(static_cast<std::uint16_t>(b.data_size));
    if (b.image) {
      out.U16(block::kBlockSize);
      out.U16(0);
      out.U8(0);
      data.insert(data.end(), block::kBlockSize, 0xAB);
    }
    PutRelation(b.relation, &out);
    out.U32(b.block);
    data.insert(data.end(), b.data_size, 0xCD);
  }
  const std::size_t main_size = record.main_data.size();
  if (main_size > 255) {
    out.U8(record::kIdDataLong);
    out.U32(static_cast<std::uint32_t>(main_size));
  } else if (main_size > 0) {
    out.U8(record::kIdDataShort);
    out.U8(static_cast<std::uint8_t>(main_size));
  }
  out.Raw(data);
  out.Raw(record.main_data);

  pitr::Bytes bytes;
  ByteWriter header(&bytes);
  header.U32(static_cast<std::uint32_t>(record::kHeader + body.size()));
  header.U32(record.xid);
  header.U64(previous_.value);
  header.U8(record.info);
  header.U8(record.resource_manager);
  header.U16(0);
  const std::uint32_t crc = Crc32cComp(Crc32cComp(kCrc32cInit, body), bytes);
  header.U32(Crc32cFin(crc));
  header.Raw(body);
  return bytes;
}

// The first `size` bytes of a record.
void WalBuilder::Write(const pitr::Bytes& record, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    if (bytes_.size() % kPageSize == 0) {
      const std::uint32_t remaining =
          done == 0 ? 0 : static_cast<std::uint32_t>(record.size() - done);
      OpenPage(remaining, static_cast<std::uint16_t>(next_page_flags_ |
                                                     (done == 0 ? 0 : page::kFirstIsContinuation)));
      next_page_flags_ = 0;
    }
    const std::size_t room = kPageSize - bytes_.size() % kPageSize;
    const std::size_t take = std::min(room, size - done);
    const auto from = record.begin() + static_cast<std::ptrdiff_t>(done);
    bytes_.insert(bytes_.end(), from, from + static_cast<std::ptrdiff_t>(take));
    done += take;
  }
  bytes_.resize(Align8(bytes_.size()), 0);
}

WalBuilder& WalBuilder::Add(const WalRecord& record) {
  const pitr::Bytes bytes = Compose(record);
  last_start_ = next();
  Write(bytes, bytes.size());
  last_end_ = at();
  previous_ = last_start_;
  return *this;
}

WalBuilder& WalBuilder::BreakOff(const WalRecord& record) {
  const pitr::Bytes bytes = Compose(record);
  const Lsn lost = next();
  const std::size_t room = kPageSize - lost.value % kPageSize;
  assert(bytes.size() > room);
  Write(bytes, room);
  next_page_flags_ = page::kFirstIsOverwrite;
  WalRecord instead;
  instead.resource_manager = rmgr::kXlog;
  instead.info = kOverwriteContrecord;
  ByteWriter out(&instead.main_data);
  out.U64(lost.value);
  out.U64(0);
  return Add(instead);
}

WalBuilder& WalBuilder::Timeline(TimelineId timeline) {
  timeline_ = timeline;
  return *this;
}

WalBuilder& WalBuilder::End(std::uint8_t operation, Xid xid, Timestamp time,
                            const std::vector<RelFork>& drops, std::uint32_t subtransactions,
                            Xid prepared, std::string_view gid) {
  std::uint32_t parts = xact::kHasDatabase;
  parts |= subtransactions > 0 ? xact::kHasSubxacts : 0;
  parts |= drops.empty() ? 0 : xact::kHasRelations | xact::kHasDroppedStats;
  parts |= operation == xact::kCommit ? xact::kHasInvalidations : 0;
  parts |= prepared != 0 ? xact::kHasTwoPhase : 0;
  parts |= gid.empty() ? 0 : xact::kHasGid;
  const bool plain = parts == (xact::kHasDatabase | xact::kHasInvalidations);
  WalRecord record;
  record.resource_manager = rmgr::kTransaction;
  record.info = static_cast<std::uint8_t>(operation | (plain ? 0 : xact::kHasInfo));
  record.xid = prepared != 0 ? 0 : xid;
  ByteWriter out(&record.main_data);
  PutTime(time, &out);
  if (plain) {
    return Add(record);
  }
  out.U32(parts);
  out.U32(5);
  out.U32(1663);
  if (subtransactions > 0) {
    out.U32(subtransactions);
    for (std::uint32_t i = 1; i <= subtransactions; i++) {
      out.U32(xid + i);
    }
  }
  if (!drops.empty()) {
    out.U32(static_cast<std::uint32_t>(drops.size()));
    for (const RelFork& relation : drops) {
      PutRelation(relation, &out);
    }
    out.U32(2);  // statistics of two
    record.main_data.resize(record.main_data.size() + 2 * xact::StatsItemSize(root_.server_major));
  }
  if ((parts & xact::kHasInvalidations) != 0) {
    out.U32(3);
    record.main_data.resize(record.main_data.size() + 3 * xact::kInvalidationSize, 0x77);
  }
  if (prepared != 0) {
    out.U32(prepared);
  }
  if (!gid.empty()) {
    PutText(gid, &out);
  }
  return Add(record);
}

WalBuilder& WalBuilder::Commit(Xid xid, Timestamp time, const std::vector<RelFork>& drops,
                               std::uint32_t subtransactions) {
  return End(xact::kCommit, xid, time, drops, subtransactions, 0, {});
}

WalBuilder& WalBuilder::Abort(Xid xid, Timestamp time, const std::vector<RelFork>& drops) {
  return End(xact::kAbort, xid, time, drops, 0, 0, {});
}

WalBuilder& WalBuilder::CommitPrepared(Xid xid, Timestamp time, std::string_view gid) {
  return End(xact::kCommitPrepared, xid, time, {}, 0, xid, gid);
}

WalBuilder& WalBuilder::AbortPrepared(Xid xid, Timestamp time, std::string_view gid) {
  return End(xact::kAbortPrepared, xid, time, {}, 0, xid, gid);
}

WalBuilder& WalBuilder::Prepare(Xid xid, Timestamp time, std::string_view gid) {
  WalRecord record;
  record.resource_manager = rmgr::kTransaction;
  record.info = xact::kPrepare;
  record.xid = xid;
  ByteWriter out(&record.main_data);
  out.U32(0x57F94534);  // TWOPHASE_MAGIC
  out.U32(0);
  out.U32(xid);
  out.U32(5);
  PutTime(time, &out);
  record.main_data.resize(xact::kPrepareGidLength);
  out.U16(static_cast<std::uint16_t>(gid.size() + 1));
  record.main_data.resize(xact::kPrepareSize);
  PutText(gid, &out);
  record.main_data.resize(Align8(record.main_data.size()));
  return Add(record);
}

WalBuilder& WalBuilder::RestorePoint(std::string_view name, Timestamp time) {
  assert(name.size() < xlog::kRestorePointName);
  WalRecord record;
  record.resource_manager = rmgr::kXlog;
  record.info = xlog::kRestorePoint;
  ByteWriter out(&record.main_data);
  PutTime(time, &out);
  out.Raw(AsBytes(name));
  record.main_data.resize(xlog::kRestorePointSize);
  return Add(record);
}

WalBuilder& WalBuilder::BlockTouch(const RelFork& relation, std::uint32_t block, bool image) {
  WalRecord record;
  record.resource_manager = kHeap;
  record.xid = 3;
  record.blocks = {{relation, block, image, image ? std::size_t{0} : std::size_t{20}}};
  record.main_data.assign(3, 0x11);
  return Add(record);
}

WalBuilder& WalBuilder::Create(const RelFork& relation) {
  WalRecord record;
  record.resource_manager = rmgr::kStorage;
  record.info = smgr::kCreate | record::kSpecialRelationUpdate;
  ByteWriter out(&record.main_data);
  PutRelation(relation, &out);
  out.U32(relation.fork);
  return Add(record);
}

WalBuilder& WalBuilder::Truncate(const RelFork& relation, std::uint32_t blocks,
                                 std::uint32_t flags) {
  WalRecord record;
  record.resource_manager = rmgr::kStorage;
  record.info = smgr::kTruncate | record::kSpecialRelationUpdate;
  ByteWriter out(&record.main_data);
  out.U32(blocks);
  PutRelation(relation, &out);
  out.U32(flags);
  return Add(record);
}

WalBuilder& WalBuilder::DatabaseCopied(std::uint32_t database, std::uint32_t tablespace) {
  WalRecord record;
  record.resource_manager = rmgr::kDatabase;
  record.info = dbase::kCreateFileCopy | record::kSpecialRelationUpdate;
  ByteWriter out(&record.main_data);
  out.U32(database);
  out.U32(tablespace);
  out.U32(1);
  out.U32(1663);
  return Add(record);
}

WalBuilder& WalBuilder::DatabaseLogged(std::uint32_t database, std::uint32_t tablespace) {
  WalRecord record;
  record.resource_manager = rmgr::kDatabase;
  record.info = dbase::kCreateWalLog;
  ByteWriter out(&record.main_data);
  out.U32(database);
  out.U32(tablespace);
  return Add(record);
}

WalBuilder& WalBuilder::DatabaseDropped(std::uint32_t database,
                                        const std::vector<std::uint32_t>& tablespaces) {
  WalRecord record;
  record.resource_manager = rmgr::kDatabase;
  record.info = dbase::kDrop | record::kSpecialRelationUpdate;
  ByteWriter out(&record.main_data);
  out.U32(database);
  out.U32(static_cast<std::uint32_t>(tablespaces.size()));
  for (const std::uint32_t tablespace : tablespaces) {
    out.U32(tablespace);
  }
  return Add(record);
}

WalBuilder& WalBuilder::Parameters(const ParameterChange& change) {
  WalRecord record;
  record.resource_manager = rmgr::kXlog;
  record.info = xlog::kParameterChange;
  ByteWriter out(&record.main_data);
  for (const std::int32_t value :
       {change.max_connections, change.max_worker_processes, change.max_wal_senders,
        change.max_prepared_transactions, change.max_locks_per_transaction, change.wal_level}) {
    out.U32(static_cast<std::uint32_t>(value));
  }
  out.U8(change.wal_log_hints ? 1 : 0);
  out.U8(change.track_commit_timestamp ? 1 : 0);
  out.U16(0);
  return Add(record);
}

WalBuilder& WalBuilder::Checkpoint(Lsn redo, bool shutdown) {
  WalRecord record;
  record.resource_manager = rmgr::kXlog;
  record.info = shutdown ? xlog::kCheckpointShutdown : xlog::kCheckpointOnline;
  ByteWriter out(&record.main_data);
  out.U64(redo.value);
  out.U32(timeline_);
  out.U32(timeline_);
  record.main_data.resize(88);  // sizeof(CheckPoint) of 15
  return Add(record);
}

WalBuilder& WalBuilder::EndOfRecovery(TimelineId timeline, TimelineId previous) {
  WalRecord record;
  record.resource_manager = rmgr::kXlog;
  record.info = xlog::kEndOfRecovery;
  ByteWriter out(&record.main_data);
  out.U64(0);
  out.U32(timeline);
  out.U32(previous);
  return Add(record);
}

WalBuilder& WalBuilder::Filler(std::uint32_t total) {
  assert(total >= 32);
  WalRecord record;
  record.resource_manager = kLogicalMessage;
  // A short header of main data takes 2 bytes, a long one 5: 282 .. 284 cannot be had.
  const std::size_t rest = total - record::kHeader;
  assert(rest < 258 || rest > 260);
  record.main_data.assign(rest - (rest - 2 > 255 ? 5 : 2), 0x5A);
  return Add(record);
}

WalBuilder& WalBuilder::FillTo(Lsn lsn) {
  assert(lsn.value % 8 == 0);
  while (next() != lsn) {
    const Lsn from = next();
    assert(lsn > from);
    const std::uint64_t page_end = (from.value / kPageSize + 1) * kPageSize;
    const std::uint64_t room = std::min(lsn.value, page_end) - from.value;
    if (room >= 32) {
      Filler(static_cast<std::uint32_t>(room));
    } else {
      // Too little for a record in this page: one that runs into the next.
      Filler(static_cast<std::uint32_t>(room + 32));
    }
  }
  return *this;
}

WalBuilder& WalBuilder::Switch() {
  WalRecord record;
  record.resource_manager = rmgr::kXlog;
  record.info = xlog::kSwitch;
  Add(record);
  const std::uint64_t rest = bytes_.size() % root_.segment_size;
  bytes_.resize(bytes_.size() + (rest == 0 ? 0 : root_.segment_size - rest), 0);
  last_end_ = at();
  return *this;
}

std::size_t WalBuilder::SegmentCount() const {
  return (bytes_.size() + root_.segment_size - 1) / root_.segment_size;
}

pitr::Bytes WalBuilder::Bytes() const {
  pitr::Bytes all = bytes_;
  all.resize(SegmentCount() * root_.segment_size, 0);
  return all;
}

pitr::Bytes WalBuilder::Segment(std::size_t number) const {
  const std::size_t begin = number * root_.segment_size;
  assert(begin < bytes_.size());
  const std::size_t end = std::min<std::size_t>(begin + root_.segment_size, bytes_.size());
  pitr::Bytes segment(bytes_.begin() + static_cast<std::ptrdiff_t>(begin),
                      bytes_.begin() + static_cast<std::ptrdiff_t>(end));
  segment.resize(root_.segment_size, 0);
  return segment;
}

}  // namespace pitr::wal
