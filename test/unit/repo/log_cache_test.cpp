// Entries of logs that are kept beside the server.
#include "core/repo/log_cache.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/store/open_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

struct Place {
  TempDir store, cache;
  std::unique_ptr<Repository> Open() const {
    Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({store.path()}, true);
    EXPECT_TRUE(repo.ok()) << repo.status().ToString();
    (*repo)->set_cache_directory(JoinPath(cache.path(), "made"));
    return std::move(*repo);
  }
  std::string file() const { return JoinPath(cache.path(), "made/audit.log.json"); }
};

void Append(Repository* repo, int first, int last) {
  for (int i = first; i <= last; i++) {
    Json entry;
    entry["n"] = i;
    ASSERT_TRUE(AppendLog(repo, "audit", entry).ok());
  }
}

std::string Numbers(Repository* repo, std::size_t limit) {
  const Result<std::vector<Json>> entries = ReadLog(repo, "audit", limit);
  EXPECT_TRUE(entries.ok()) << entries.status().ToString();
  std::string text;
  for (std::size_t i = 0; entries.ok() && i < entries->size(); i++) {
    text += (*entries)[i].at("n").dump() + " ";
  }
  return text;
}

// What is gone from the store can only come from the cache.
void Lose(Repository* repo, std::uint64_t number) {
  ASSERT_TRUE(repo->store()->Remove(layout::CatalogName("audit", number)).ok());
}

TEST(LogCache, OnlyNewEntriesAreAskedOfTheStore) {
  const Place place;
  const std::unique_ptr<Repository> repo = place.Open();
  Append(repo.get(), 1, 5);
  EXPECT_EQ(Numbers(repo.get(), 4), "2 3 4 5 ");
  Lose(repo.get(), 3);
  EXPECT_EQ(Numbers(place.Open().get(), 4), "2 3 4 5 ");
  Append(repo.get(), 6, 7);
  EXPECT_EQ(Numbers(place.Open().get(), 4), "4 5 6 7 ");
  EXPECT_EQ(Numbers(place.Open().get(), 2), "6 7 ");
}

TEST(LogCache, WhatReachesFartherBackIsReadAnew) {
  const Place place;
  const std::unique_ptr<Repository> repo = place.Open();
  Append(repo.get(), 1, 5);
  EXPECT_EQ(Numbers(repo.get(), 2), "4 5 ");
  EXPECT_EQ(Numbers(place.Open().get(), 4), "2 3 4 5 ");
  EXPECT_EQ(Numbers(place.Open().get(), 0), "1 2 3 4 5 ");
}

TEST(LogCache, DamagedOrForeignCountsAsNone) {
  const Place place;
  const std::unique_ptr<Repository> repo = place.Open();
  Append(repo.get(), 1, 3);
  EXPECT_EQ(Numbers(repo.get(), 3), "1 2 3 ");
  const Result<std::string> good = ReadTextFile(place.file(), 1 << 20);
  ASSERT_TRUE(good.ok());
  for (std::size_t cut = 0; cut < good->size(); cut += 7) {
    ASSERT_TRUE(WriteFileDurably(place.file(), AsBytes(good->substr(0, cut))).ok());
    EXPECT_EQ(LoadLogCache(DirectoryName(place.file()), repo->id(), "audit").newest, 0U);
  }
  EXPECT_EQ(Numbers(place.Open().get(), 3), "1 2 3 ");
  EXPECT_EQ(LoadLogCache(DirectoryName(place.file()), repo->id(), "audit").newest, 3U);
  EXPECT_EQ(LoadLogCache(DirectoryName(place.file()), "another", "audit").newest, 0U);
  EXPECT_EQ(LoadLogCache(DirectoryName(place.file()), repo->id(), "operations").newest, 0U);
}

TEST(LogCache, KeepsTheNewest) {
  const TempDir dir;
  LogEntries log;
  for (std::uint64_t number = 1; number <= kCachedEntries + 10; number++) {
    log.entries.emplace_back(number, Json::object());
  }
  log.newest = kCachedEntries + 10;
  StoreLogCache(dir.path(), "id", "audit", log);
  const LogEntries kept = LoadLogCache(dir.path(), "id", "audit");
  EXPECT_EQ(kept.from, 10U);
  EXPECT_EQ(kept.newest, kCachedEntries + 10);
  EXPECT_EQ(kept.entries.size(), kCachedEntries);
  EXPECT_EQ(kept.entries.front().first, 11U);
}

}  // namespace
}  // namespace pitr
