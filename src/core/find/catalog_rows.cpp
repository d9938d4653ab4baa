#include "core/find/catalog_rows.h"

#include <algorithm>
#include <array>

namespace pitr::find {

namespace {

namespace page = wal::heap_page;

constexpr std::array<std::pair<Catalog, std::uint32_t>, 7> kCatalogs = {{
    {Catalog::kClass, wal::catalog::kClass},
    {Catalog::kNamespace, wal::catalog::kNamespace},
    {Catalog::kDatabase, wal::catalog::kDatabase},
    {Catalog::kProc, wal::catalog::kProc},
    {Catalog::kType, wal::catalog::kType},
    {Catalog::kExtension, wal::catalog::kExtension},
    {Catalog::kRole, wal::catalog::kRole},
}};

// No map of any server has more entries (relmapper.c: 62 in 15, 64 since).
constexpr std::size_t kMaxMappings = 64;

// Whether `a` is the newer version of a row: one that nobody deleted before one that somebody did, then the later transaction's.
bool IsNewer(const Row& a, const Row& b) {
  if ((a.xmax == 0) != (b.xmax == 0)) {
    return a.xmax == 0;
  }
  return static_cast<std::int32_t>(a.xmin - b.xmin) > 0;
}

// The tuple of `length` bytes at `p`; nullopt when nobody sees it any more.
std::optional<Row> ReadTuple(const std::uint8_t* p, std::size_t length) {
  if (length < page::kTupleHeader || p[page::kHoff] > length) {
    return std::nullopt;
  }
  const std::uint16_t flags = wal::Load16(p + page::kInfomask);
  const bool is_aborted =
      (flags & (page::kXminCommitted | page::kXminInvalid)) == page::kXminInvalid;
  const bool has_xmax =
      (flags & (page::kXmaxInvalid | page::kXmaxLockOnly | page::kXmaxIsMulti)) == 0;
  if (is_aborted || (has_xmax && (flags & page::kXmaxCommitted) != 0)) {
    return std::nullopt;
  }
  Row row;
  row.xmin = wal::Load32(p + page::kXmin);
  row.xmax = has_xmax ? wal::Load32(p + page::kXmax) : 0;
  row.data.assign(p + p[page::kHoff], p + length);
  return row;
}

}  // namespace

std::uint32_t OidOf(Catalog catalog) { return kCatalogs[static_cast<std::size_t>(catalog)].second; }

bool IsShared(Catalog catalog) {
  return catalog == Catalog::kDatabase || catalog == Catalog::kRole;
}

std::optional<Catalog> CatalogOfOid(std::uint32_t oid) {
  for (const auto& [catalog, own] : kCatalogs) {
    if (own == oid) {
      return catalog;
    }
  }
  return std::nullopt;
}

std::string Row::name() const {
  if (!Has(wal::catalog::kName, wal::catalog::kNameSize)) {
    return {};
  }
  const ByteView bytes = ByteView(data).subspan(wal::catalog::kName, wal::catalog::kNameSize);
  const std::string_view text = AsText(bytes);
  return std::string(text.substr(0, text.find('\0')));
}

bool ReadRelationMap(ByteView bytes, std::vector<std::pair<Catalog, std::uint32_t>>* out) {
  if (bytes.size() < wal::relmap::kEntries || wal::Load32(bytes.data()) != wal::relmap::kMagic) {
    return false;
  }
  const std::size_t count = wal::Load32(bytes.data() + wal::relmap::kCount);
  if (count > kMaxMappings || bytes.size() - wal::relmap::kEntries < count * wal::relmap::kEntry) {
    return false;
  }
  for (std::size_t i = 0; i < count; i++) {
    const std::uint8_t* entry = bytes.data() + wal::relmap::kEntries + i * wal::relmap::kEntry;
    if (const auto catalog = CatalogOfOid(wal::Load32(entry))) {
      out->emplace_back(*catalog, wal::Load32(entry + 4));
    }
  }
  return true;
}

bool CatalogRows::Watch(CatalogFile file, Catalog catalog) {
  if (WatchedAs(file) == catalog) {
    return false;
  }
  extra_[file] = catalog;
  return true;
}

std::optional<Catalog> CatalogRows::WatchedAs(CatalogFile file) const {
  const auto found = extra_.find(file);
  if (found != extra_.end()) {
    return found->second;
  }
  const std::optional<Catalog> catalog = CatalogOfOid(file.file);
  return catalog && IsShared(*catalog) == (file.database == 0) ? catalog : std::nullopt;
}

void CatalogRows::ForgetDatabase(std::uint32_t database) {
  std::erase_if(files_, [&](const auto& file) { return file.first.database == database; });
}

void CatalogRows::CopyDatabase(std::uint32_t from, std::uint32_t to) {
  std::map<CatalogFile, File> copies;
  for (const auto& [file, pages] : files_) {
    if (file.database == from) {
      copies[{to, file.file}] = pages;
    }
  }
  for (auto& [file, pages] : copies) {
    if (const auto found = extra_.find({from, file.file}); found != extra_.end()) {
      extra_[file] = found->second;
    }
    files_[file] = std::move(pages);
  }
}

void CatalogRows::SetPage(CatalogFile file, std::uint32_t block, const std::uint8_t* bytes) {
  Page& rows = files_[file][block];
  rows.clear();
  const std::size_t lower = wal::Load16(bytes + page::kLower);
  if (lower < page::kItems || lower > wal::kPageSize) {
    return;  // a new page
  }
  const std::size_t count = (lower - page::kItems) / page::kItemSize;
  for (std::size_t i = 0; i < count; i++) {
    const std::uint32_t item = wal::Load32(bytes + page::kItems + i * page::kItemSize);
    const std::size_t at = item & 0x7FFF, length = item >> 17;
    if (((item >> 15) & 3) != page::kItemNormal || at > wal::kPageSize ||
        length > wal::kPageSize - at) {
      continue;
    }
    if (std::optional<Row> row = ReadTuple(bytes + at, length)) {
      rows[static_cast<std::uint16_t>(i + 1)] = *std::move(row);
    }
  }
}

void CatalogRows::ClearPage(CatalogFile file, std::uint32_t block) { files_[file].erase(block); }

const Row* CatalogRows::At(const Place& place) const {
  const auto file = files_.find(place.file);
  if (file == files_.end()) {
    return nullptr;
  }
  const auto rows = file->second.find(place.block);
  if (rows == file->second.end()) {
    return nullptr;
  }
  const auto row = rows->second.find(place.offset);
  return row == rows->second.end() ? nullptr : &row->second;
}

Row* CatalogRows::At(const Place& place) {
  return const_cast<Row*>(std::as_const(*this).At(place));
}

void CatalogRows::Put(const Place& place, Row row) {
  files_[place.file][place.block][place.offset] = std::move(row);
}

void CatalogRows::Commit(const std::set<Place>& touched, const std::set<Xid>& xids) {
  for (const Place& place : touched) {
    const Row* row = At(place);
    if (row != nullptr && xids.contains(row->xmax)) {
      files_[place.file][place.block].erase(place.offset);
    }
  }
}

void CatalogRows::Abort(const std::set<Place>& touched, const std::set<Xid>& xids) {
  for (const Place& place : touched) {
    Row* row = At(place);
    if (row != nullptr && xids.contains(row->xmin)) {
      files_[place.file][place.block].erase(place.offset);
    } else if (row != nullptr && xids.contains(row->xmax)) {
      row->xmax = 0;
    }
  }
}

const Row* CatalogRows::Find(Catalog catalog, std::uint32_t database,
                             const std::function<bool(const Row&)>& wanted) const {
  const Row* best = nullptr;
  for (auto file = files_.lower_bound({database, 0});
       file != files_.end() && file->first.database == database; ++file) {
    if (WatchedAs(file->first) != catalog) {
      continue;
    }
    for (const auto& [block, rows] : file->second) {
      for (const auto& [offset, row] : rows) {
        if (wanted(row) && (best == nullptr || IsNewer(row, *best))) {
          best = &row;
        }
      }
    }
  }
  return best;
}

const Row* CatalogRows::FindOid(Catalog catalog, std::uint32_t database, std::uint32_t oid) const {
  return Find(catalog, database, [&](const Row& row) { return row.oid() == oid; });
}

}  // namespace pitr::find
