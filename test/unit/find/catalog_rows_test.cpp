#include "core/find/catalog_rows.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/find/transaction.h"

namespace pitr::find {
namespace {

constexpr CatalogFile kClasses = {5, wal::catalog::kClass};

Bytes Named(std::uint32_t oid, std::string_view name) {
  Bytes data(124, 0);
  std::memcpy(data.data(), &oid, sizeof oid);
  std::memcpy(data.data() + wal::catalog::kName, name.data(), name.size());
  return data;
}

// A page of heap with these tuples: xmin, xmax, infomask, columns.
struct Tuple {
  Xid xmin, xmax;
  std::uint16_t flags;
  Bytes data;
};
Bytes PageOf(const std::vector<Tuple>& tuples) {
  Bytes page(wal::kPageSize, 0);
  std::size_t upper = page.size(), item = wal::heap_page::kItems;
  for (const Tuple& tuple : tuples) {
    const std::size_t length = 24 + tuple.data.size();
    upper -= wal::Align8(length);
    std::memcpy(&page[upper + wal::heap_page::kXmin], &tuple.xmin, 4);
    std::memcpy(&page[upper + wal::heap_page::kXmax], &tuple.xmax, 4);
    std::memcpy(&page[upper + wal::heap_page::kInfomask], &tuple.flags, 2);
    page[upper + wal::heap_page::kHoff] = 24;
    std::copy(tuple.data.begin(), tuple.data.end(), &page[upper + 24]);
    const std::uint32_t pointer = static_cast<std::uint32_t>(upper | (1U << 15) | (length << 17));
    std::memcpy(&page[item], &pointer, 4);
    item += wal::heap_page::kItemSize;
  }
  const auto lower = static_cast<std::uint16_t>(item);
  std::memcpy(&page[wal::heap_page::kLower], &lower, 2);
  return page;
}

TEST(CatalogRows, AreReadFromAPage) {
  CatalogRows rows;
  const Bytes page = PageOf({{700, 0, 0x0900, Named(16384, "seen")},
                             {700, 705, 0x0500, Named(16385, "deleted")},
                             {701, 0, 0x0A00, Named(16386, "rolled back")},
                             {702, 706, 0x0100, Named(16387, "being deleted")},
                             {702, 707, 0x0180, Named(16388, "locked")}});
  rows.SetPage(kClasses, 3, page.data());
  const auto name_of = [&](std::uint32_t oid) {
    const Row* row = rows.FindOid(Catalog::kClass, 5, oid);
    return row == nullptr ? "" : row->name();
  };
  EXPECT_EQ(name_of(16384), "seen");
  EXPECT_EQ(name_of(16385), "");
  EXPECT_EQ(name_of(16386), "");
  EXPECT_EQ(name_of(16387), "being deleted");
  EXPECT_EQ(rows.At({kClasses, 3, 4})->xmax, 706U);
  EXPECT_EQ(rows.At({kClasses, 3, 5})->xmax, 0U);
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 6, 16384), nullptr) << "of another database";
  rows.SetPage(kClasses, 3, PageOf({}).data());
  EXPECT_EQ(name_of(16384), "") << "a page replaces what it was";
}

TEST(CatalogRows, DamagedPagesBringNothing) {
  CatalogRows rows;
  Bytes page = PageOf({{700, 0, 0x0900, Named(16384, "seen")}});
  page[wal::heap_page::kItems + 2] = 0xFF;  // a length beyond the page
  page[wal::heap_page::kItems + 3] = 0xFF;
  rows.SetPage(kClasses, 0, page.data());
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 5, 16384), nullptr);
  page[wal::heap_page::kLower] = 0xFF;
  page[wal::heap_page::kLower + 1] = 0xFF;
  rows.SetPage(kClasses, 0, page.data());
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 5, 16384), nullptr);
}

TEST(CatalogRows, EndsOfTransactions) {
  CatalogRows rows;
  const Place old_place = {kClasses, 0, 1}, new_place = {kClasses, 0, 2};
  const auto rename = [&] {
    rows.Clear();
    rows.Put(old_place, {Named(16384, "before"), 700, 710});
    rows.Put(new_place, {Named(16384, "after"), 710, 0});
  };
  rename();
  rows.Commit({old_place, new_place}, {710});
  EXPECT_EQ(rows.At(old_place), nullptr);
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 5, 16384)->name(), "after");
  rename();
  rows.Abort({old_place, new_place}, {710});
  EXPECT_EQ(rows.At(new_place), nullptr);
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 5, 16384)->name(), "before");
  EXPECT_EQ(rows.At(old_place)->xmax, 0U);
}

TEST(CatalogRows, TheNewestVersionCounts) {
  CatalogRows rows;
  rows.Put({kClasses, 0, 1}, {Named(16384, "oldest"), 0xFFFFFFF0, 5});
  rows.Put({kClasses, 0, 2}, {Named(16384, "middle"), 5, 0});
  rows.Put({kClasses, 0, 3}, {Named(16384, "newest"), 9, 0});  // behind the wrap of ids
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 5, 16384)->name(), "newest");
}

TEST(CatalogRows, FilesThatAreWatched) {
  CatalogRows rows;
  EXPECT_EQ(rows.WatchedAs(kClasses), Catalog::kClass);
  EXPECT_EQ(rows.WatchedAs({0, wal::catalog::kClass}), std::nullopt);
  EXPECT_EQ(rows.WatchedAs({0, wal::catalog::kDatabase}), Catalog::kDatabase);
  EXPECT_FALSE(rows.Watch(kClasses, Catalog::kClass));
  EXPECT_TRUE(rows.Watch({5, 16500}, Catalog::kClass));
  EXPECT_FALSE(rows.Watch({5, 16500}, Catalog::kClass));
  rows.Put({{5, 16500}, 0, 1}, {Named(16384, "t"), 700, 0});
  rows.CopyDatabase(5, 7);
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 7, 16384)->name(), "t");
  rows.ForgetDatabase(7);
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 7, 16384), nullptr);
  rows.Forget({5, 16500});
  EXPECT_EQ(rows.FindOid(Catalog::kClass, 5, 16384), nullptr);
}

TEST(CatalogRows, RelationMap) {
  Bytes map;
  ByteWriter out(&map);
  out.U32(wal::relmap::kMagic);
  out.U32(2);
  for (const std::uint32_t value : {1259U, 16777U, 1249U, 1249U}) {
    out.U32(value);
  }
  std::vector<std::pair<Catalog, std::uint32_t>> entries;
  ASSERT_TRUE(ReadRelationMap(map, &entries));
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0], (std::pair<Catalog, std::uint32_t>(Catalog::kClass, 16777)));
  map[4] = 3;
  EXPECT_FALSE(ReadRelationMap(map, &entries)) << "more than it holds";
  map[4] = 200;
  EXPECT_FALSE(ReadRelationMap(map, &entries));
  map[0] ^= 1;
  EXPECT_FALSE(ReadRelationMap(map, &entries));
  EXPECT_FALSE(ReadRelationMap({}, &entries));
}

TEST(CatalogRows, NamesAsSqlWouldWriteThem) {
  EXPECT_EQ(QuoteName("orders_2$"), "orders_2$");
  EXPECT_EQ(QuoteName("Odd name"), "\"Odd name\"");
  EXPECT_EQ(QuoteName("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(QuoteName("1st"), "\"1st\"");
  EXPECT_EQ(QuoteName("grün"), "grün");
  EXPECT_EQ(QuoteName("gr\xFCn"), "gr?n") << "Latin 1";
  EXPECT_EQ(QuoteName("\xED\xA0\x80"), "???") << "a surrogate";
  EXPECT_EQ(QuoteName("\xC0\xAF"), "??") << "an overlong form";
  EXPECT_EQ(QuoteName("x\xE2\x82"), "x??") << "cut off";
}

}  // namespace
}  // namespace pitr::find
