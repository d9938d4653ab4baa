// Follows WAL record by record: keeps the catalogs up to date, counts what each transaction does to tables, and says what it was when
// the transaction ends.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>

#include "core/find/catalog_rows.h"
#include "core/find/event.h"
#include "core/find/transaction.h"
#include "core/wal/block_data.h"
#include "core/wal/page_reader.h"
#include "core/wal/record.h"

namespace pitr::find {

class Follower final : public wal::RecordSink {
 public:
  struct Options {
    const FindRequest* request = nullptr;
    std::uint32_t server_major = 0;
    Lsn count_from;  // rows are counted from here on
    Lsn end;         // nothing behind it is looked at
    // Where a snapshot begins whose catalogs `load` brings into the rows; invalid: none.
    Lsn base;
    std::function<Status(CatalogRows*)> load;
    // Whether the record that starts here is part of the history that is followed.
    std::function<bool(Lsn)> belongs;
  };
  // `rows` must outlive this; what is known of rewritten catalogs is kept in it.
  Follower(Options options, CatalogRows* rows);

  bool OnRecord(const wal::RawRecord& record) override;
  const Status& status() const { return status_; }
  // A catalog turned out to have been rewritten into a file whose pages were passed over: begin again, it is watched now.
  bool must_restart() const { return must_restart_; }
  // Whether a commit or abort of `xid`, in WAL that was not read, says what became of something that was.
  bool WaitsFor(Xid xid, bool is_commit) const;
  // Transactions that ran are gone: the server started anew.
  void OnRestart();
  // At the end: what is prepared and not decided, databases that are dropped without a commit.
  void Finish();
  std::vector<FoundEvent>& events() { return events_; }

 private:
  bool LoadBase(Lsn start);
  bool InWindow(Timestamp time) const;
  bool OnTransaction(const wal::RawRecord& raw);
  bool OnEnd(const wal::RawRecord& raw, bool is_commit);
  void OnPrepare(const wal::RawRecord& raw);
  void OnDatabase(const wal::RawRecord& raw);
  void OnRelationMap();
  void OnHeap(const wal::RawRecord& raw, bool is_heap2);
  void CountRow(const wal::RawRecord& raw, std::uint8_t operation);
  void TakeImages(const wal::RawRecord& raw);
  void OnWatched(const wal::RawRecord& raw, std::uint8_t operation);
  void Insert(const wal::RawRecord& raw);
  void Delete(const wal::RawRecord& raw);
  void Update(const wal::RawRecord& raw);
  void Inplace(const wal::RawRecord& raw);
  void WatchRewritten(const std::set<Place>& touched);
  void ReportUndecided(const Work& work);
  Work* WorkOf(Xid xid);
  Work TakeWork(const std::set<Xid>& xids);

  const Options options_;
  CatalogRows* rows_;
  Status status_;
  bool must_restart_ = false, has_base_ = false;
  wal::RecordBody body_;
  std::vector<wal::BlockData> blocks_;
  std::unordered_map<Xid, Work> open_;
  std::map<Xid, Ending> prepared_;
  // Databases that were marked invalid, and the place before that: a server opens none of them.
  std::map<std::uint32_t, Lsn> invalidated_;
  std::optional<Timestamp> last_time_;
  std::vector<FoundEvent> events_;
};

}  // namespace pitr::find
