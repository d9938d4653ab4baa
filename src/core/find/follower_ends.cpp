// What ends transactions, and what is known of those that have not ended.
#include <algorithm>

#include "core/find/follower.h"

namespace pitr::find {

namespace {

namespace xact = wal::xact;

// The transaction's end as its record says it.
Ending EndingOf(const wal::RawRecord& raw, const wal::TransactionEnd& end, Xid xid) {
  Ending ending;
  ending.time = end.time;
  ending.lsn = raw.start;
  ending.before = raw.header.previous;
  ending.xid = xid;
  ending.xids.insert(xid);
  for (std::size_t at = 0; at < end.subxacts.size(); at += xact::kSubxactSize) {
    ending.xids.insert(wal::Load32(end.subxacts.data() + at));
  }
  for (std::size_t at = 0; at < end.invalidations.size(); at += xact::kInvalidationSize) {
    const std::uint8_t* message = end.invalidations.data() + at;
    if (static_cast<std::int8_t>(message[0]) == xact::kInvalidationOfRelation) {
      ending.relations.emplace(wal::Load32(message + 4),
                               wal::Load32(message + xact::kInvalidationRelation));
    }
  }
  return ending;
}

}  // namespace

void Work::Add(Work&& other) {
  for (const auto& [relation, more] : other.counts) {
    counts[relation].deleted += more.deleted;
    counts[relation].updated += more.updated;
  }
  touched.merge(other.touched);
  catalogs.merge(other.catalogs);
  dropped.insert(dropped.end(), other.dropped.begin(), other.dropped.end());
}

bool Follower::InWindow(Timestamp time) const {
  const FindRequest& request = *options_.request;
  return (!request.since || *request.since <= time) && (!request.until || time <= *request.until);
}

Work* Follower::WorkOf(Xid xid) { return &open_[xid]; }

Work Follower::TakeWork(const std::set<Xid>& xids) {
  Work all;
  for (const Xid xid : xids) {
    const auto found = open_.find(xid);
    if (found != open_.end()) {
      all.Add(std::move(found->second));
      open_.erase(found);
    }
  }
  return all;
}

bool Follower::WaitsFor(Xid xid, bool is_commit) const {
  if (open_.contains(xid)) {
    return true;
  }
  // What waits may be a subtransaction of it: those have later ids. Only their own aborts name them.
  return is_commit && std::any_of(open_.begin(), open_.end(), [&](const auto& open) {
           return static_cast<std::int32_t>(open.first - xid) > 0;
         });
}

bool Follower::OnTransaction(const wal::RawRecord& raw) {
  switch (raw.header.info & xact::kOpMask) {
    case xact::kCommit:
    case xact::kCommitPrepared:
      return OnEnd(raw, true);
    case xact::kAbort:
    case xact::kAbortPrepared:
      return OnEnd(raw, false);
    case xact::kPrepare:
      OnPrepare(raw);
      return true;
    default:
      return true;
  }
}

bool Follower::OnEnd(const wal::RawRecord& raw, bool is_commit) {
  wal::TransactionEnd end;
  if (!wal::DecodeTransactionEnd(raw.header, body_, options_.server_major, &end)) {
    status_ =
        Status(Code::kCorrupt, "the WAL record at " + raw.start.ToString() + " cannot be decoded");
    return false;
  }
  const Xid xid = end.prepared_xid != 0 ? end.prepared_xid : raw.header.xid;
  last_time_ = end.time;
  prepared_.erase(xid);
  const Ending ending = EndingOf(raw, end, xid);
  const Work work = TakeWork(ending.xids);
  if (!is_commit) {
    rows_->Abort(work.touched, ending.xids);
    ReportUndecided(work);
    return true;
  }
  if (!work.IsEmpty() && InWindow(ending.time)) {
    Describe(work, ending, *rows_, options_.server_major, *options_.request, &events_);
  }
  WatchRewritten(work.touched);
  rows_->Commit(work.touched, ending.xids);
  for (const DroppedDatabase& dropped : work.dropped) {
    rows_->ForgetDatabase(dropped.oid);
  }
  for (std::size_t at = 0; at < end.relations.size(); at += wal::block::kRelation) {
    const wal::RelFork relation = wal::LoadRelation(end.relations.data() + at, 0);
    rows_->Forget({relation.database, relation.relation});
  }
  return !must_restart_;
}

void Follower::OnPrepare(const wal::RawRecord& raw) {
  const ByteView main = body_.main_data;
  if (main.size() < xact::kPrepareSize) {
    return;
  }
  wal::TransactionEnd end;
  end.time = wal::LoadTime(main.data() + xact::kPrepareTime);
  const std::size_t gid_size = wal::Align8(wal::Load16(main.data() + xact::kPrepareGidLength));
  const std::size_t count = wal::Load32(main.data() + xact::kPrepareSubxacts);
  const ByteView rest = main.subspan(std::min(xact::kPrepareSize + gid_size, main.size()));
  end.subxacts = rest.first(std::min(count, rest.size() / xact::kSubxactSize) * xact::kSubxactSize);
  const Xid xid = wal::Load32(main.data() + xact::kPrepareXid);
  prepared_[xid] = EndingOf(raw, end, xid);
  prepared_[xid].committed = false;
}

// Catalogs that are not mapped: pg_class itself says that they are in a new file.
void Follower::WatchRewritten(const std::set<Place>& touched) {
  for (const Place& place : touched) {
    const Row* row = rows_->At(place);
    if (row == nullptr || row->xmax != 0 || rows_->WatchedAs(place.file) != Catalog::kClass) {
      continue;
    }
    const std::optional<Catalog> catalog = CatalogOfOid(row->oid());
    const std::uint32_t file = row->U32(wal::catalog::kClassFile);
    if (catalog && !IsShared(*catalog) && file != 0) {
      must_restart_ |= rows_->Watch({place.file.database, file}, *catalog);
    }
  }
}

// A database that is dropped is gone from the moment its record is written, whether the transaction commits or not.
void Follower::ReportUndecided(const Work& work) {
  if (work.dropped.empty() || !last_time_ || !InWindow(*last_time_)) {
    return;
  }
  Work only;
  only.dropped = work.dropped;
  Ending ending;
  ending.time = *last_time_;
  ending.committed = false;
  Describe(only, ending, *rows_, options_.server_major, *options_.request, &events_);
}

void Follower::OnRestart() {
  std::set<Xid> kept;
  for (const auto& [xid, ending] : prepared_) {
    kept.insert(ending.xids.begin(), ending.xids.end());
  }
  for (auto open = open_.begin(); open != open_.end();) {
    if (kept.contains(open->first)) {
      ++open;
      continue;
    }
    rows_->Abort(open->second.touched, {open->first});
    ReportUndecided(open->second);
    open = open_.erase(open);
  }
}

void Follower::Finish() {
  const std::map<Xid, Ending> undecided = std::move(prepared_);
  prepared_.clear();
  for (const auto& [xid, ending] : undecided) {
    const Work work = TakeWork(ending.xids);
    if (InWindow(ending.time)) {
      Describe(work, ending, *rows_, options_.server_major, *options_.request, &events_);
    }
  }
  for (const auto& [xid, work] : open_) {
    ReportUndecided(work);
  }
}

}  // namespace pitr::find
