#include "core/find/follower.h"

#include <algorithm>

namespace pitr::find {

namespace {

namespace rmgr = wal::rmgr;

CatalogFile FileOf(const wal::RelFork& relation) { return {relation.database, relation.relation}; }

Place PlaceOf(const wal::BlockData& block, std::uint16_t offset) {
  return {FileOf(block.relation), block.block, offset};
}

}  // namespace

Follower::Follower(Options options, CatalogRows* rows) : options_(std::move(options)), rows_(rows) {
  rows_->Clear();
}

bool Follower::LoadBase(Lsn start) {
  if (!has_base_ && options_.base.valid() && start >= options_.base) {
    has_base_ = true;
    status_ = options_.load(rows_);
  }
  return status_.ok();
}

bool Follower::OnRecord(const wal::RawRecord& raw) {
  if (raw.start >= options_.end || !options_.belongs(raw.start)) {
    return true;
  }
  if (!LoadBase(raw.start)) {
    return false;
  }
  if (!wal::DecodeBody(raw.bytes, raw.header.total_length, &body_)) {
    status_ =
        Status(Code::kCorrupt, "the WAL record at " + raw.start.ToString() + " cannot be decoded");
    return false;
  }
  TakeImages(raw);
  const std::uint8_t operation = raw.header.operation();
  switch (raw.header.resource_manager) {
    case rmgr::kXlog:
      if (operation == wal::xlog::kCheckpointShutdown || operation == wal::xlog::kEndOfRecovery) {
        OnRestart();
      }
      return true;
    case rmgr::kTransaction:
      return OnTransaction(raw);
    case rmgr::kDatabase:
      OnDatabase(raw);
      return true;
    case rmgr::kRelationMap:
      OnRelationMap();
      return !must_restart_;
    case rmgr::kHeap:
    case rmgr::kHeap2:
      OnHeap(raw, raw.header.resource_manager == rmgr::kHeap2);
      return true;
    default:
      return true;
  }
}

// Whatever record brings the page of a catalog: that is what the page is afterwards.
void Follower::TakeImages(const wal::RawRecord& raw) {
  blocks_.clear();
  const auto end = body_.blocks.begin() + static_cast<std::ptrdiff_t>(body_.block_count);
  const bool is_watched = std::any_of(body_.blocks.begin(), end, [&](const wal::BlockRef& ref) {
    return ref.relation.fork == 0 && rows_->WatchedAs(FileOf(ref.relation)).has_value();
  });
  // A record that is not here whole (longer than the reader keeps) is none of catalogs.
  if (!is_watched || !wal::DecodeBlockData(raw.bytes, &blocks_)) {
    return;
  }
  for (const wal::BlockData& block : blocks_) {
    std::uint8_t page[wal::kPageSize];
    if (block.relation.fork != 0 || !rows_->WatchedAs(FileOf(block.relation)) ||
        !wal::RestoreImage(block, page)) {
      continue;
    }
    rows_->SetPage(FileOf(block.relation), block.block, page);
  }
}

void Follower::OnDatabase(const wal::RawRecord& raw) {
  const ByteView main = body_.main_data;
  const std::uint8_t operation = raw.header.operation();
  if (operation == wal::dbase::kCreateFileCopy && main.size() >= wal::dbase::kCopySize) {
    rows_->CopyDatabase(wal::Load32(main.data() + wal::dbase::kCopyFrom), wal::Load32(main.data()));
  }
  if (operation != wal::dbase::kDrop || main.size() < wal::dbase::kDropMin) {
    return;
  }
  DroppedDatabase dropped;
  dropped.oid = wal::Load32(main.data());
  const Row* row = rows_->FindOid(Catalog::kDatabase, 0, dropped.oid);
  dropped.name = row == nullptr ? "" : row->name();
  dropped.lsn = raw.start;
  const auto invalidated = invalidated_.find(dropped.oid);
  dropped.before = invalidated == invalidated_.end() ? raw.header.previous : invalidated->second;
  WorkOf(raw.header.xid)->dropped.push_back(std::move(dropped));
}

// The new file was filled before the map says what it is.
void Follower::OnRelationMap() {
  const ByteView main = body_.main_data;
  std::vector<std::pair<Catalog, std::uint32_t>> entries;
  if (main.size() < wal::relmap::kUpdateData ||
      !ReadRelationMap(main.subspan(wal::relmap::kUpdateData), &entries)) {
    return;
  }
  for (const auto& [catalog, file] : entries) {
    must_restart_ |= rows_->Watch({wal::Load32(main.data()), file}, catalog);
  }
}

void Follower::OnHeap(const wal::RawRecord& raw, bool is_heap2) {
  const std::uint8_t operation = raw.header.info & wal::heap::kOpMask;
  if (body_.block_count == 0 || (is_heap2 && operation != wal::heap::kMultiInsert)) {
    return;
  }
  const wal::RelFork& relation = body_.blocks[0].relation;
  const bool changes_rows = is_heap2 || operation == wal::heap::kInsert ||
                            operation == wal::heap::kDelete || operation == wal::heap::kUpdate ||
                            operation == wal::heap::kHotUpdate;
  if (!is_heap2 && !blocks_.empty()) {
    OnWatched(raw, operation);
  } else if (relation.relation >= wal::catalog::kFirstNormalOid) {
    if (!is_heap2) {
      CountRow(raw, operation);
    }
  } else if (changes_rows && raw.header.xid != 0) {
    WorkOf(raw.header.xid)->catalogs.insert(FileOf(relation));
  }
}

void Follower::CountRow(const wal::RawRecord& raw, std::uint8_t operation) {
  if (!options_.request->WantsRows() || raw.start < options_.count_from) {
    return;
  }
  wal::RelFork relation = body_.blocks[0].relation;
  const ByteView main = body_.main_data;
  if (operation == wal::heap::kDelete && main.size() >= wal::heap::kDeleteSize) {
    const std::uint8_t flags = main[wal::heap::kDeleteFlags];
    if ((flags & wal::heap::kDeleteIsSpeculative) != 0) {
      return;  // an INSERT … ON CONFLICT takes back its own row
    }
    RowCounts& counts = WorkOf(raw.header.xid)->counts[relation];
    // An UPDATE that moves a row to another partition is told as its deletion.
    ((flags & wal::heap::kDeleteIsMove) != 0 ? counts.updated : counts.deleted)++;
  } else if (operation == wal::heap::kUpdate || operation == wal::heap::kHotUpdate) {
    WorkOf(raw.header.xid)->counts[relation].updated++;
  }
}

void Follower::OnWatched(const wal::RawRecord& raw, std::uint8_t operation) {
  switch (operation) {
    case wal::heap::kInsert:
      return Insert(raw);
    case wal::heap::kDelete:
      return Delete(raw);
    case wal::heap::kUpdate:
    case wal::heap::kHotUpdate:
      return Update(raw);
    case wal::heap::kInplace:
      return Inplace(raw);
    default:
      return;
  }
}

// heap_xlog_insert (heapam.c, 15).
void Follower::Insert(const wal::RawRecord& raw) {
  const wal::BlockData& block = blocks_[0];
  if (body_.main_data.size() < wal::heap::kInsertSize) {
    return;
  }
  const Place place =
      PlaceOf(block, wal::Load16(body_.main_data.data() + wal::heap::kInsertOffset));
  if (!block.has_image && block.data.size() >= wal::heap::kHeader) {
    if ((raw.header.info & wal::heap::kInitPage) != 0) {
      rows_->ClearPage(place.file, place.block);
    }
    const std::size_t nulls =
        std::max<std::size_t>(block.data[wal::heap::kHeaderHoff], wal::heap_page::kTupleHeader) -
        wal::heap_page::kTupleHeader;
    const ByteView rest = block.data.subspan(wal::heap::kHeader);
    const ByteView columns = rest.subspan(std::min(nulls, rest.size()));
    rows_->Put(place, {Bytes(columns.begin(), columns.end()), raw.header.xid, 0});
  }
  WorkOf(raw.header.xid)->touched.insert(place);
}

void Follower::Delete(const wal::RawRecord& raw) {
  if (body_.main_data.size() < wal::heap::kDeleteSize) {
    return;
  }
  const Place place =
      PlaceOf(blocks_[0], wal::Load16(body_.main_data.data() + wal::heap::kDeleteOffset));
  if (Row* row = rows_->At(place)) {
    row->xmax = raw.header.xid;
  } else {
    rows_->Put(place, {{}, 0, raw.header.xid});  // what it was is not known
  }
  WorkOf(raw.header.xid)->touched.insert(place);
}

// heap_xlog_update (heapam.c, 15): the new row may take its beginning and its end from the old one.
void Follower::Update(const wal::RawRecord& raw) {
  const ByteView main = body_.main_data;
  if (main.size() < wal::heap::kUpdateSize) {
    return;
  }
  const wal::BlockData* old_block = &blocks_[0];
  if (blocks_.size() > 1 && blocks_[1].relation.fork == 0) {
    old_block = &blocks_[1];
  }
  const Place old_place =
      PlaceOf(*old_block, wal::Load16(main.data() + wal::heap::kUpdateOldOffset));
  const Place place = PlaceOf(blocks_[0], wal::Load16(main.data() + wal::heap::kUpdateNewOffset));
  const std::uint8_t flags = main[wal::heap::kUpdateFlags];
  if (!rows_->At(old_place)) {
    rows_->Put(old_place, {{}, 0, 0});
  }
  const Bytes old = rows_->At(old_place)->data;
  rows_->At(old_place)->xmax = raw.header.xid;
  Work* work = WorkOf(raw.header.xid);
  work->touched.insert(old_place);
  work->touched.insert(place);
  if (blocks_[0].has_image) {
    return;
  }
  if ((raw.header.info & wal::heap::kInitPage) != 0) {
    rows_->ClearPage(place.file, place.block);
  }
  ByteReader in(blocks_[0].data);
  const std::size_t prefix = (flags & wal::heap::kUpdatePrefix) != 0 ? in.U16() : 0;
  const std::size_t suffix = (flags & wal::heap::kUpdateSuffix) != 0 ? in.U16() : 0;
  const ByteView header = in.Raw(wal::heap::kHeader);
  const std::size_t hoff = header.empty() ? 0 : header[wal::heap::kHeaderHoff];
  in.Raw(std::max(hoff, wal::heap_page::kTupleHeader) - wal::heap_page::kTupleHeader);
  Row row{{}, raw.header.xid, 0};
  // Without the old row the new one is not known either.
  if (in.ok() && std::max(prefix, suffix) <= old.size()) {
    row.data.assign(old.begin(), old.begin() + static_cast<std::ptrdiff_t>(prefix));
    const ByteView middle = in.Raw(in.remaining());
    row.data.insert(row.data.end(), middle.begin(), middle.end());
    row.data.insert(row.data.end(), old.end() - static_cast<std::ptrdiff_t>(suffix), old.end());
  }
  rows_->Put(place, std::move(row));
}

// heap_inplace_update: no transaction, no new version.
void Follower::Inplace(const wal::RawRecord& raw) {
  if (body_.main_data.size() < 2) {
    return;
  }
  const Place place =
      PlaceOf(blocks_[0], wal::Load16(body_.main_data.data() + wal::heap::kInplaceOffset));
  Row* row = rows_->At(place);
  if (row == nullptr) {
    return;
  }
  if (!blocks_[0].has_image) {
    row->data.assign(blocks_[0].data.begin(), blocks_[0].data.end());
  }
  if (rows_->WatchedAs(place.file) == Catalog::kDatabase &&
      static_cast<std::int32_t>(row->U32(wal::catalog::kDatabaseConnectionLimit)) ==
          wal::catalog::kInvalidDatabase) {
    invalidated_.emplace(row->oid(), raw.header.previous);  // no later attempt makes it valid
  }
}

}  // namespace pitr::find
