// Rows of the catalogs that names come from (relations, schemas, databases, functions, types, extensions, roles) as they were at a
// place in WAL: pages of a snapshot, then every change that records tell. Rows are known by their place (file, block, line pointer),
// which is all that redo needs; pruning only frees places, and what is put there later replaces what was there.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/types/lsn.h"
#include "core/wal/layout.h"

namespace pitr::find {

enum class Catalog : std::uint8_t {
  kClass,
  kNamespace,
  kDatabase,
  kProc,
  kType,
  kExtension,
  kRole,
};

// The oid of the catalog itself, which is also its file's name until somebody rewrites it.
std::uint32_t OidOf(Catalog catalog);
bool IsShared(Catalog catalog);  // one for the whole server, in database 0
std::optional<Catalog> CatalogOfOid(std::uint32_t oid);

struct CatalogFile {
  std::uint32_t database = 0, file = 0;
  friend auto operator<=>(const CatalogFile&, const CatalogFile&) = default;
};

struct Place {
  CatalogFile file;
  std::uint32_t block = 0;
  std::uint16_t offset = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct Row {
  Bytes data;  // columns: what stands behind t_hoff
  Xid xmin = 0, xmax = 0;

  std::uint32_t U32(std::size_t at) const { return Has(at, 4) ? wal::Load32(&data[at]) : 0; }
  char Char(std::size_t at) const { return Has(at, 1) ? static_cast<char>(data[at]) : '\0'; }
  std::uint32_t oid() const { return U32(wal::catalog::kOid); }
  std::string name() const;  // bytes as the database has them

 private:
  bool Has(std::size_t at, std::size_t size) const {
    return data.size() >= size && at <= data.size() - size;
  }
};

// What pg_filenode.map says of watched catalogs: catalog and file. False when the bytes are no such map.
bool ReadRelationMap(ByteView bytes, std::vector<std::pair<Catalog, std::uint32_t>>* out);

class CatalogRows {
 public:
  // A file that holds a catalog beside the one that has its oid as its name. False when that was known.
  bool Watch(CatalogFile file, Catalog catalog);
  std::optional<Catalog> WatchedAs(CatalogFile file) const;
  // Files of rewritten catalogs that are watched.
  const std::map<CatalogFile, Catalog>& extra() const { return extra_; }

  void Clear() { files_.clear(); }
  void Forget(CatalogFile file) { files_.erase(file); }
  void ForgetDatabase(std::uint32_t database);
  void CopyDatabase(std::uint32_t from, std::uint32_t to);

  // Replaces what is known of the page by `page`, wal::kPageSize bytes.
  void SetPage(CatalogFile file, std::uint32_t block, const std::uint8_t* page);
  void ClearPage(CatalogFile file, std::uint32_t block);
  // Null when there is none.
  Row* At(const Place& place);
  const Row* At(const Place& place) const;
  void Put(const Place& place, Row row);

  // `xids` ended: what they deleted is gone / what they inserted is, and what they deleted stays.
  void Commit(const std::set<Place>& touched, const std::set<Xid>& xids);
  void Abort(const std::set<Place>& touched, const std::set<Xid>& xids);

  // The row that `wanted` says yes to, the newest version of several; null when there is none. `database` 0 for shared ones.
  const Row* Find(Catalog catalog, std::uint32_t database,
                  const std::function<bool(const Row&)>& wanted) const;
  const Row* FindOid(Catalog catalog, std::uint32_t database, std::uint32_t oid) const;

 private:
  using Page = std::map<std::uint16_t, Row>;
  using File = std::unordered_map<std::uint32_t, Page>;

  std::map<CatalogFile, Catalog> extra_;
  std::map<CatalogFile, File> files_;
};

}  // namespace pitr::find
