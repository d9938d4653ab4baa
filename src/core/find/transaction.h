// What one transaction has done so far, and what becomes of that when it ends.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/find/catalog_rows.h"
#include "core/find/event.h"
#include "core/wal/index.h"

namespace pitr::find {

struct RowCounts {
  std::int64_t deleted = 0, updated = 0;
};

struct DroppedDatabase {
  std::uint32_t oid = 0;
  std::string name;
  Lsn lsn, before;
};

struct Work {
  std::map<wal::RelFork, RowCounts> counts;  // relations of users
  std::set<Place> touched;                   // rows of watched catalogs
  std::set<CatalogFile> catalogs;            // other catalogs that were written to
  std::vector<DroppedDatabase> dropped;

  bool IsEmpty() const {
    return counts.empty() && touched.empty() && catalogs.empty() && dropped.empty();
  }
  void Add(Work&& other);
};

// How it ended.
struct Ending {
  Timestamp time;
  Lsn lsn, before;
  Xid xid = 0;
  bool committed = true;
  std::set<Xid> xids;  // with its subtransactions
  // Relations that its invalidations name: database, oid.
  std::set<std::pair<std::uint32_t, std::uint32_t>> relations;
};

// Appends what `work` means to `events`, by what `rows` says right before the end is applied to it.
void Describe(const Work& work, const Ending& ending, const CatalogRows& rows,
              std::uint32_t server_major, const FindRequest& request,
              std::vector<FoundEvent>* events);

// A name as SQL would write it; bytes that are no UTF-8 (names of a database in another encoding) become question marks.
std::string QuoteName(std::string_view name);

}  // namespace pitr::find
