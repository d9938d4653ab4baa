// The contract suite of object stores: one test per sentence of core/store/store.h. A store is put to it by one line,
//
//   INSTANTIATE_TEST_SUITE_P(Local, StoreContract, testing::Values(&Make<LocalPlace>));
//
// in store_contract_test.cpp, the only file that includes this one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/hash.h"
#include "core/store/abilities.h"
#include "core/store/store.h"

namespace pitr {

// A place with objects and handles on it; empty at first.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  // Another handle, as another process would have it.
  virtual std::unique_ptr<ObjectStore> Open() = 0;
  // False: a server that ignores If-None-Match, found out when a repository is opened (repository.cpp).
  virtual bool TakesNamesOnce() const { return true; }
  // False: two that write one name at the same moment may both succeed.
  virtual bool IsAtomic() const { return TakesNamesOnce(); }
};

// Null: the server that it needs does not run.
using StoreMaker = std::unique_ptr<StorePlace> (*)();

class StoreContract : public testing::TestWithParam<StoreMaker> {
 protected:
  StoreContract() : place_(GetParam()()), store_(place_ == nullptr ? nullptr : place_->Open()) {}
  void SetUp() override {
    if (store_ == nullptr) GTEST_SKIP() << "its server is not there";
  }

  static Bytes Text(std::string_view text) { return {text.begin(), text.end()}; }
  // Bytes that no two places of it share, so that a misplaced piece is seen.
  static Bytes Pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; i++) {
      bytes[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13);
    }
    return bytes;
  }
  void Put(const std::string& name, ByteView bytes) {
    const Status status = store_->Put(name, bytes);
    ASSERT_TRUE(status.ok()) << name << ": " << status.ToString();
  }
  void Put(const std::string& name) { Put(name, AsBytes(name)); }
  Bytes Get(const std::string& name) {
    Result<Bytes> bytes = store_->Get(name, 64U << 20);
    EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
    return bytes.ok() ? *bytes : Bytes();
  }
  std::vector<std::string> Names(const std::string& prefix, const std::string& after = "",
                                 std::size_t limit = 0) {
    Result<std::vector<ObjectStat>> found = store_->List(prefix, after, limit);
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    std::vector<std::string> names;
    for (const ObjectStat& object : found.ok() ? *found : std::vector<ObjectStat>()) {
      names.push_back(object.name);
    }
    return names;
  }
  std::vector<std::string> Parts(const std::string& prefix) {
    Result<std::vector<std::string>> parts = store_->ListParts(prefix);
    EXPECT_TRUE(parts.ok()) << parts.status().ToString();
    return parts.ok() ? *parts : std::vector<std::string>();
  }
  using Strings = std::vector<std::string>;

  std::unique_ptr<StorePlace> place_;
  std::unique_ptr<ObjectStore> store_;
};

// -- writing -------------------------------------------------------------------------------------

TEST_P(StoreContract, PutPublishesTheBytesForEveryHandle) {
  Put("a/b/c.d_e-F0", Text("content"));
  EXPECT_EQ(Get("a/b/c.d_e-F0"), Text("content"));
  const std::unique_ptr<ObjectStore> other = place_->Open();
  Result<Bytes> bytes = other->Get("a/b/c.d_e-F0", 100);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  EXPECT_EQ(*bytes, Text("content"));
}

TEST_P(StoreContract, AnObjectMayBeEmpty) {
  Put("empty", {});
  EXPECT_EQ(Get("empty"), Bytes());
  EXPECT_EQ(Names(""), Strings{"empty"});
}

TEST_P(StoreContract, PutOfATakenNameIsRefusedAndChangesNothing) {
  if (!place_->TakesNamesOnce()) GTEST_SKIP() << "this server ignores conditions";
  Put("x/y", Text("first"));
  EXPECT_EQ(store_->Put("x/y", Text("second")).code(), Code::kAlreadyExists);
  EXPECT_EQ(Get("x/y"), Text("first"));
  EXPECT_EQ(Names(""), Strings{"x/y"});
}

TEST_P(StoreContract, PiecesAreJoinedInOrder) {
  const Bytes whole = Pattern((3U << 20) + 12345);
  const std::size_t cuts[] = {
      0, 1, 100, (1U << 20) - 1, 1U << 20, 1U << 20, (2U << 20) + 7, whole.size()};
  Result<std::unique_ptr<ObjectWriter>> writer = store_->Create("big");
  ASSERT_TRUE(writer.ok()) << writer.status().ToString();
  for (std::size_t i = 1; i < std::size(cuts); i++) {
    const ByteView piece = ByteView(whole).subspan(cuts[i - 1], cuts[i] - cuts[i - 1]);
    ASSERT_TRUE((*writer)->Append(piece).ok());
  }
  const Status status = (*writer)->Commit();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(Get("big"), whole);
}

TEST_P(StoreContract, NobodySeesAnObjectBeforeCommit) {
  Result<std::unique_ptr<ObjectWriter>> writer = store_->Create("folder/unfinished");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(Pattern(2U << 20)).ok());
  EXPECT_EQ(Names(""), Strings());
  EXPECT_EQ(Parts(""), Strings());
  EXPECT_EQ(Parts("folder/"), Strings());
  EXPECT_EQ(store_->Stat("folder/unfinished").status().code(), Code::kNotFound);
  EXPECT_EQ(store_->Get("folder/unfinished", 1).status().code(), Code::kNotFound);
  ASSERT_TRUE((*writer)->Commit().ok());
  EXPECT_EQ(Names(""), Strings{"folder/unfinished"});
}

TEST_P(StoreContract, AWriterDestroyedWithoutCommitLeavesNothing) {
  {
    Result<std::unique_ptr<ObjectWriter>> writer = store_->Create("folder/given-up");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Append(Pattern(2U << 20)).ok());
  }
  EXPECT_EQ(Names(""), Strings());
  Put("folder/given-up", Text("later"));
}

TEST_P(StoreContract, CommitOfATakenNameIsRefusedAndChangesNothing) {
  if (!place_->TakesNamesOnce()) GTEST_SKIP() << "this server ignores conditions";
  Result<std::unique_ptr<ObjectWriter>> writer = store_->Create("x");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(Text("late")).ok());
  Put("x", Text("early"));
  EXPECT_EQ((*writer)->Commit().code(), Code::kAlreadyExists);
  EXPECT_EQ(Get("x"), Text("early"));
}

TEST_P(StoreContract, ExactlyOneOfConcurrentCommitsSucceeds) {
  if (!place_->IsAtomic()) GTEST_SKIP() << "this server has no conditions";
  constexpr int kThreads = 4, kRounds = 20;
  for (int round = 0; round < kRounds; round++) {
    const std::string name = "race/" + std::to_string(round) + "/object";
    std::atomic<int> ready = 0, winners = 0, winner = -1, others = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++) {
      threads.emplace_back([&, i] {
        const std::unique_ptr<ObjectStore> handle = place_->Open();
        Result<std::unique_ptr<ObjectWriter>> writer = handle->Create(name);
        const bool is_written = writer.ok() && (*writer)->Append(Text(std::to_string(i))).ok();
        ready++;
        while (ready < kThreads) {
          std::this_thread::yield();
        }
        const Status status = is_written ? (*writer)->Commit() : Status(Code::kInternal, "");
        if (status.ok()) {
          winners++;
          winner = i;
        } else if (status.code() == Code::kAlreadyExists) {
          others++;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(others, kThreads - 1);
    EXPECT_EQ(Get(name), Text(std::to_string(winner)));
  }
}

// Removing the last object of a folder must not take the folder from under a writer.
// Where names are taken only once, whether that holds for two at the same moment is found out.
TEST_P(StoreContract, ItIsKnownWhetherWritersAreKeptApart) {
  if (!place_->TakesNamesOnce() || !place_->IsAtomic()) GTEST_SKIP() << "nobody would ask";
  for (const char* name : {"probe/1", "probe/2"}) {
    const Result<bool> keeps_apart = KeepsWritersApart(store_.get(), name);
    ASSERT_TRUE(keeps_apart.ok()) << keeps_apart.status().ToString();
    EXPECT_TRUE(*keeps_apart);
    EXPECT_TRUE(store_->Remove(name).ok());
  }
}

TEST_P(StoreContract, PuttingAndRemovingInOneFolderDoNotDisturbEachOther) {
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) {
    threads.emplace_back([&, i] {
      const std::unique_ptr<ObjectStore> handle = place_->Open();
      const std::string name = "one/two/" + std::to_string(i);
      for (int round = 0; round < 60; round++) {
        const bool is_fine = handle->Put(name, Text("x")).ok() && handle->Stat(name).ok() &&
                             handle->Remove(name).ok() &&
                             handle->Stat(name).status().code() == Code::kNotFound;
        failures += is_fine ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(Parts(""), Strings());
}

// -- reading -------------------------------------------------------------------------------------

TEST_P(StoreContract, WhatIsAbsentIsNotFound) {
  Put("here/object");
  for (const std::string name : {"absent", "absent/too", "here", "here/object2"}) {
    EXPECT_EQ(store_->Get(name, 1).status().code(), Code::kNotFound) << name;
    EXPECT_EQ(store_->GetRange(name, 0, 1).status().code(), Code::kNotFound) << name;
    EXPECT_EQ(store_->GetSuffix(name, 1).status().code(), Code::kNotFound) << name;
    EXPECT_EQ(store_->Stat(name).status().code(), Code::kNotFound) << name;
  }
}

TEST_P(StoreContract, GetRefusesWhatIsLargerThanTheLimit) {
  Put("ten", Text("0123456789"));
  EXPECT_EQ(store_->Get("ten", 9).status().code(), Code::kLimit);
  EXPECT_TRUE(store_->Get("ten", 10).ok());
}

TEST_P(StoreContract, GetRangeGivesExactlyTheRangeOrWhatThereIs) {
  Put("ten", Text("0123456789"));
  struct {
    std::uint64_t offset, size;
    std::string_view expected;
  } const cases[] = {{0, 10, "0123456789"},
                     {0, 3, "012"},
                     {3, 4, "3456"},
                     {8, 2, "89"},
                     {8, 100, "89"},
                     {10, 1, ""},
                     {11, 5, ""},
                     {5, 0, ""},
                     {1, UINT64_MAX, "123456789"},
                     {UINT64_MAX, 1, ""},
                     {UINT64_MAX, UINT64_MAX, ""}};
  for (const auto& one : cases) {
    Result<Bytes> bytes = store_->GetRange("ten", one.offset, one.size);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    EXPECT_EQ(AsText(*bytes), one.expected) << one.offset << "+" << one.size;
  }
}

TEST_P(StoreContract, GetSuffixGivesTheLastBytesOrAll) {
  Put("ten", Text("0123456789"));
  for (const auto& [size, expected] : std::vector<std::pair<std::uint64_t, std::string>>{
           {0, ""}, {1, "9"}, {10, "0123456789"}, {11, "0123456789"}, {UINT64_MAX, "0123456789"}}) {
    Result<Bytes> bytes = store_->GetSuffix("ten", size);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    EXPECT_EQ(AsText(*bytes), expected);
  }
}

TEST_P(StoreContract, StatGivesNameAndSize) {
  Put("a/ten", Text("0123456789"));
  Result<ObjectStat> found = store_->Stat("a/ten");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->name, "a/ten");
  EXPECT_EQ(found->size, 10U);
}

// -- listing -------------------------------------------------------------------------------------

TEST_P(StoreContract, ListGivesWholeNamesInByteOrderWithSizes) {
  // "-" and "." sort before "/", digits and letters behind it.
  const Strings sorted = {"a-b", "a.b", "a/b/c", "a/b0", "a/bc/d", "a0", "aB", "ab"};
  for (const std::size_t i : {5, 0, 3, 7, 2, 1, 6, 4}) {
    Put(sorted[i]);
  }
  EXPECT_EQ(Names(""), sorted);
  Result<std::vector<ObjectStat>> found = store_->List("");
  ASSERT_TRUE(found.ok());
  for (const ObjectStat& object : *found) {
    EXPECT_EQ(object.size, object.name.size());
  }
}

TEST_P(StoreContract, ListKeepsToThePrefix) {
  for (const std::string name : {"a/x", "a/y/z", "ab/x", "b"}) {
    Put(name);
  }
  EXPECT_EQ(Names("a/"), (Strings{"a/x", "a/y/z"}));
  EXPECT_EQ(Names("a/y/"), Strings{"a/y/z"});
}

TEST_P(StoreContract, AnAbsentPrefixListsAsEmpty) {
  Put("a/x");
  for (const std::string prefix : {"b/", "a/x/", "a/b/c/"}) {
    EXPECT_EQ(Names(prefix), Strings()) << prefix;
    EXPECT_EQ(Parts(prefix), Strings()) << prefix;
  }
}

TEST_P(StoreContract, ListBeginsBehindAfterAndStopsAtTheLimit) {
  const Strings all = {"a-b", "a/b/c", "a/b/d", "a/e", "a0", "b/a"};
  for (const std::string& name : all) {
    Put(name);
  }
  // From any start and with any limit, the page is the part of the whole list.
  Strings starts = all;
  starts.insert(starts.end(), {"", "a", "a/", "a/b", "a/b/", "a/b/cc", "a/z", "zz"});
  for (const std::string& after : starts) {
    Strings rest;
    std::copy_if(all.begin(), all.end(), std::back_inserter(rest),
                 [&](const std::string& name) { return name > after; });
    EXPECT_EQ(Names("", after), rest) << after;
    for (std::size_t limit = 1; limit <= all.size(); limit++) {
      const Strings page(rest.begin(),
                         rest.begin() + static_cast<std::ptrdiff_t>(std::min(limit, rest.size())));
      EXPECT_EQ(Names("", after, limit), page) << after << " " << limit;
    }
  }
  EXPECT_EQ(Names("a/", "a/b/c", 1), Strings{"a/b/d"});
}

TEST_P(StoreContract, ListPartsGivesFoldersAndObjectsSorted) {
  for (const std::string name : {"c/x", "a", "c/y", "b/z/u", "b/v", "b0"}) {
    Put(name);
  }
  EXPECT_EQ(Parts(""), (Strings{"a", "b/", "b0", "c/"}));
  EXPECT_EQ(Parts("b/"), (Strings{"v", "z/"}));
}

TEST_P(StoreContract, APrefixEndsInASlashOrIsEmpty) {
  Put("a/x");
  EXPECT_EQ(store_->List("a").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(store_->ListParts("a").status().code(), Code::kInvalidArgument);
}

// -- removing ------------------------------------------------------------------------------------

TEST_P(StoreContract, RemovedIsGoneAndItsNameFree) {
  Put("a/x", Text("one"));
  Put("a/y");
  ASSERT_TRUE(store_->Remove("a/x").ok());
  EXPECT_EQ(store_->Stat("a/x").status().code(), Code::kNotFound);
  EXPECT_EQ(Names(""), Strings{"a/y"});
  Put("a/x", Text("two"));
  EXPECT_EQ(Get("a/x"), Text("two"));
}

TEST_P(StoreContract, RemovingWhatIsAbsentIsFine) {
  Put("a/x");
  for (const std::string name : {"b", "a", "a/y", "c/d/e", "a/x/y"}) {
    const Status status = store_->Remove(name);
    EXPECT_TRUE(status.ok()) << name << ": " << status.ToString();
  }
  EXPECT_EQ(Names(""), Strings{"a/x"});
}

TEST_P(StoreContract, AFolderWithoutObjectsIsNotListed) {
  Put("a/b/c");
  Put("d");
  ASSERT_TRUE(store_->Remove("a/b/c").ok());
  EXPECT_EQ(Parts(""), Strings{"d"});
  EXPECT_EQ(Parts("a/"), Strings());
  Put("a/b/c");
  EXPECT_EQ(Parts("a/"), Strings{"b/"});
}

TEST_P(StoreContract, CollectAbandonedTouchesNoObjectAndNoYoungWriter) {
  Put("a/x");
  Result<std::unique_ptr<ObjectWriter>> writer = store_->Create("young");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(Pattern(2U << 20)).ok());
  const Status status = store_->CollectAbandoned(3600);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const Status committed = (*writer)->Commit();
  EXPECT_TRUE(committed.ok()) << committed.ToString();
  EXPECT_EQ(Names(""), (Strings{"a/x", "young"}));
}

// -- names ---------------------------------------------------------------------------------------

TEST_P(StoreContract, OtherNamesAreInvalidArgument) {
  for (const std::string name : {"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.b",
                                 ".tmp/x", "a b", "a\tb", "a\\b", "a:b", "\xc3\xa4", "a\n", "a*"}) {
    EXPECT_EQ(store_->Put(name, {}).code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->Create(name).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->Get(name, 1).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->GetRange(name, 0, 1).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->GetSuffix(name, 1).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->Stat(name).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->Remove(name).code(), Code::kInvalidArgument) << name;
    if (!name.empty()) {
      EXPECT_EQ(store_->List(name + "/").status().code(), Code::kInvalidArgument) << name;
      EXPECT_EQ(store_->ListParts(name + "/").status().code(), Code::kInvalidArgument) << name;
    }
  }
  EXPECT_EQ(store_->Put(std::string("a\0b", 3), {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Names(""), Strings());
}

TEST_P(StoreContract, SaysWhereItIs) { EXPECT_FALSE(store_->Describe().empty()); }

}  // namespace pitr
