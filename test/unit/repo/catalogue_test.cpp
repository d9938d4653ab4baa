#include "core/repo/catalogue.h"
#include "core/base/json.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "unit/support/fault_store.h"
#include "unit/support/memory_store.h"

namespace pitr {

namespace {

class CatalogueTest : public testing::Test {
 protected:
  CatalogueTest() : repo_(OpenAgain()) {}

  std::unique_ptr<Repository> OpenAgain() {
    return *Repository::Open(std::make_unique<MemoryStore>(objects_), true);
  }
  // One more, in member "n".
  static Status Increment(Json* json) {
    (*json)["n"] = json->contains("n") ? *JsonInt(*json, "n") + 1 : 1;
    return Status::Ok();
  }
  void Update(Repository* repo) {
    const Status status = UpdateDocument(repo, "thing", Increment);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  std::int64_t Count() {
    Result<Json> json = ReadDocument(OpenAgain().get(), "thing");
    EXPECT_TRUE(json.ok()) << json.status().ToString();
    return json->empty() ? 0 : *JsonInt(*json, "n");
  }
  std::vector<std::uint64_t> Numbers() {
    std::vector<std::uint64_t> numbers;
    const std::vector<ObjectStat> found = *repo_->store()->List(layout::CatalogPrefix("thing"));
    for (const ObjectStat& object : found) {
      numbers.push_back(*layout::ParseCatalogName(object.name));
    }
    return numbers;
  }

  std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
  std::unique_ptr<Repository> repo_;
};

TEST_F(CatalogueTest, ADocumentThatWasNeverWrittenIsEmpty) {
  std::uint64_t number = 99;
  Result<Json> json = ReadDocument(repo_.get(), "thing", &number);
  ASSERT_TRUE(json.ok());
  EXPECT_TRUE(json->is_object());
  EXPECT_TRUE(json->empty());
  EXPECT_EQ(number, 0U);
}

TEST_F(CatalogueTest, AnUpdateIsReadByAll) {
  Update(repo_.get());
  Update(repo_.get());
  std::uint64_t number = 0;
  EXPECT_EQ(*JsonInt(*ReadDocument(OpenAgain().get(), "thing", &number), "n"), 2);
  EXPECT_EQ(number, 2U);
  EXPECT_TRUE(ReadDocument(repo_.get(), "other")->empty());
}

TEST_F(CatalogueTest, AStatusFromTheChangeEndsTheUpdateWithoutAWrite) {
  Update(repo_.get());
  const Status status = UpdateDocument(repo_.get(), "thing", [](Json* json) {
    (*json)["n"] = 100;
    return Status(Code::kProtected, "no");
  });
  EXPECT_EQ(status.code(), Code::kProtected);
  EXPECT_EQ(Numbers(), std::vector<std::uint64_t>{1});
  EXPECT_EQ(Count(), 1);
}

TEST_F(CatalogueTest, ALostRaceStartsAgainFromTheNewest) {
  Update(repo_.get());
  const std::unique_ptr<Repository> other = OpenAgain();
  int calls = 0;
  const Status status = UpdateDocument(repo_.get(), "thing", [&](Json* json) {
    if (calls++ < 3) {
      Update(other.get());
    }
    return Increment(json);
  });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(Count(), 5);
}

TEST_F(CatalogueTest, NoUpdateIsLostAmongThreads) {
  // Together fewer than the 64 updates that a document remembers: a thread that stands still for longer than those cannot know
  // whether its own was one of them, and is told so.
  constexpr int kThreads = 4, kRounds = 15;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) {
    threads.emplace_back([&] {
      const std::unique_ptr<Repository> repo = OpenAgain();
      for (int round = 0; round < kRounds; round++) {
        Update(repo.get());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Count(), kThreads * kRounds);
}

TEST_F(CatalogueTest, TheLastSixteenNumbersStay) {
  for (int i = 0; i < 40; i++) {
    Update(repo_.get());
  }
  const std::vector<std::uint64_t> numbers = Numbers();
  ASSERT_EQ(numbers.size(), 16U);
  EXPECT_EQ(numbers.front(), 25U);
  EXPECT_EQ(numbers.back(), 40U);
}

// So many updates went by that the number it wants was used, and removed, before: what it put there is read by nobody,
// so it has to start again.
TEST_F(CatalogueTest, AnUpdaterThatSleptTooLongStartsAgain) {
  for (const int before : {0, 1, 5, 30}) {
    for (const int meanwhile : {15, 16, 17, 18, 40}) {
      objects_ = std::make_shared<MemoryObjects>();
      repo_ = OpenAgain();
      for (int i = 0; i < before; i++) {
        Update(repo_.get());
      }
      const std::unique_ptr<Repository> other = OpenAgain();
      int calls = 0;
      const Status status = UpdateDocument(repo_.get(), "thing", [&](Json* json) {
        for (int i = 0; i < meanwhile && calls == 0; i++) {
          Update(other.get());
        }
        calls++;
        return Increment(json);
      });
      EXPECT_TRUE(status.ok()) << status.ToString();
      EXPECT_EQ(calls, 2);
      EXPECT_EQ(Count(), before + meanwhile + 1) << before << " " << meanwhile;
      EXPECT_LE(Numbers().size(), 17U);
    }
  }
}

// Then not even the newest document tells what became of the update.
TEST_F(CatalogueTest, AnUpdaterThatSleptForAVeryLongTimeDoesNotSayOk) {
  const std::unique_ptr<Repository> other = OpenAgain();
  int calls = 0;
  const Status status = UpdateDocument(repo_.get(), "thing", [&](Json* json) {
    for (int i = 0; i < 80 && calls == 0; i++) {
      Update(other.get());
    }
    calls++;
    return Increment(json);
  });
  EXPECT_EQ(status.code(), Code::kInUse);
  EXPECT_EQ(Count(), 80);
  Update(repo_.get());
  EXPECT_EQ(Count(), 81);
}

// Ours was read by the sixteen that came after it, between our put and our look.
TEST_F(CatalogueTest, AnUpdateThatOthersBuiltUponIsNotMadeTwice) {
  class Overtaken final : public ObjectStore {
   public:
    Overtaken(std::shared_ptr<MemoryObjects> objects, std::function<void()> after_put)
        : inner_(std::move(objects)), after_put_(std::move(after_put)) {}
    Status Put(const std::string& name, ByteView bytes) override {
      const Status status = inner_.Put(name, bytes);
      after_put_();
      return status;
    }
    Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) override {
      return inner_.Create(name);
    }
    Result<Bytes> Get(const std::string& name, std::uint64_t size) override {
      return inner_.Get(name, size);
    }
    Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                           std::uint64_t size) override {
      return inner_.GetRange(name, offset, size);
    }
    Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) override {
      return inner_.GetSuffix(name, size);
    }
    Result<ObjectStat> Stat(const std::string& name) override { return inner_.Stat(name); }
    Result<std::vector<ObjectStat>> List(const std::string& prefix, const std::string& after,
                                         std::size_t limit) override {
      return inner_.List(prefix, after, limit);
    }
    Result<std::vector<std::string>> ListParts(const std::string& prefix) override {
      return inner_.ListParts(prefix);
    }
    Status Remove(const std::string& name) override { return inner_.Remove(name); }
    Status CollectAbandoned(std::int64_t) override { return Status::Ok(); }
    std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
    std::string Describe() const override { return "overtaken"; }

   private:
    MemoryStore inner_;
    std::function<void()> after_put_;
  };
  const std::unique_ptr<Repository> other = OpenAgain();
  const auto after_put = [&] {
    for (int i = 0; i < 30; i++) {
      Update(other.get());
    }
  };
  const std::unique_ptr<Repository> repo =
      *Repository::Open(std::make_unique<Overtaken>(objects_, after_put), false);
  Update(repo.get());
  EXPECT_EQ(Count(), 31);
}

TEST_F(CatalogueTest, TheChangeSeesNothingButItsOwnMembers) {
  for (int i = 0; i < 3; i++) {
    const Status status = UpdateDocument(repo_.get(), "thing", [&](Json* json) {
      EXPECT_EQ(json->size(), i == 0 ? 0U : 1U) << DumpJson(*json);
      return Increment(json);
    });
    ASSERT_TRUE(status.ok());
  }
  EXPECT_EQ(ReadDocument(repo_.get(), "thing")->size(), 1U);
}

TEST_F(CatalogueTest, ADamagedDocumentIsAnErrorAndNotAnOlderOne) {
  Update(repo_.get());
  Update(repo_.get());
  MemoryStore(objects_).Tamper(layout::CatalogName("thing", 2))[70] ^= 1;
  EXPECT_EQ(ReadDocument(repo_.get(), "thing").status().code(), Code::kCorrupt);
  EXPECT_EQ(UpdateDocument(repo_.get(), "thing", Increment).code(), Code::kCorrupt);
}

TEST_F(CatalogueTest, WhatIsNoObjectCannotBeStored) {
  EXPECT_EQ(UpdateDocument(repo_.get(), "thing",
                           [](Json* json) {
                             *json = Json::array();
                             return Status::Ok();
                           })
                .code(),
            Code::kInternal);
  EXPECT_EQ(AppendLog(repo_.get(), "thing", Json("text")).status().code(), Code::kInternal);
  EXPECT_TRUE(Numbers().empty());
}

// -- logs ----------------------------------------------------------------------------------------

TEST_F(CatalogueTest, ALogKeepsItsEntriesInOrder) {
  for (int i = 1; i <= 30; i++) {
    Result<std::uint64_t> number = AppendLog(repo_.get(), "log", Json{{"i", i}});
    ASSERT_TRUE(number.ok()) << number.status().ToString();
    EXPECT_EQ(*number, static_cast<std::uint64_t>(i));
  }
  const std::unique_ptr<Repository> other = OpenAgain();
  EXPECT_EQ(*AppendLog(other.get(), "log", Json{{"i", 31}}), 31U);
  Result<std::vector<Json>> all = ReadLog(repo_.get(), "log", 0);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 31U);
  Result<std::vector<Json>> last = ReadLog(repo_.get(), "log", 3);
  ASSERT_EQ(last->size(), 3U);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(*JsonInt((*last)[static_cast<std::size_t>(i)], "i"), 29 + i);
  }
  EXPECT_EQ(ReadLog(repo_.get(), "log", 100)->size(), 31U);
  EXPECT_TRUE(ReadLog(repo_.get(), "empty", 5)->empty());
}

TEST_F(CatalogueTest, ALogWhoseOldEntriesWereCollectedGoesOn) {
  for (int i = 1; i <= 10; i++) {
    ASSERT_TRUE(AppendLog(repo_.get(), "log", Json{{"i", i}}).ok());
  }
  for (std::uint64_t number = 1; number <= 7; number++) {
    ASSERT_TRUE(repo_->store()->Remove(layout::CatalogName("log", number)).ok());
  }
  EXPECT_EQ(ReadLog(repo_.get(), "log", 0)->size(), 3U);
  EXPECT_EQ(ReadLog(repo_.get(), "log", 5)->size(), 3U);
  EXPECT_EQ(ReadLog(repo_.get(), "log", 2)->size(), 2U);
  EXPECT_EQ(*AppendLog(OpenAgain().get(), "log", Json::object()), 11U);
}

TEST_F(CatalogueTest, EveryEntryOfEveryThreadIsThere) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      const std::unique_ptr<Repository> repo = OpenAgain();
      for (int round = 0; round < 25; round++) {
        EXPECT_TRUE(AppendLog(repo.get(), "log", Json{{"i", i * 100 + round}}).ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::set<std::int64_t> seen;
  const std::vector<Json> entries = *ReadLog(repo_.get(), "log", 0);
  for (const Json& entry : entries) {
    seen.insert(*JsonInt(entry, "i"));
  }
  EXPECT_EQ(seen.size(), 100U);
}

// -- crash sweep: README.md 4 --------------------------------------------------------------------

TEST_F(CatalogueTest, DyingInAnUpdateLeavesTheOldOrTheNewState) {
  for (const int before : {0, 1, 20}) {
    for (const auto way : {FaultStore::kDieBefore, FaultStore::kDieAfter, FaultStore::kFailOnce}) {
      bool is_finished = false;
      for (int at = 0; !is_finished; at++) {
        ASSERT_LT(at, 1000);
        objects_ = std::make_shared<MemoryObjects>();
        repo_ = OpenAgain();
        for (int i = 0; i < before; i++) {
          Update(repo_.get());
        }
        MemoryStore inner(objects_);
        // Opening takes one operation.
        auto store = std::make_unique<FaultStore>(&inner, FaultStore::Plan{way, at + 1});
        FaultStore* const counter = store.get();
        const std::unique_ptr<Repository> repo = *Repository::Open(std::move(store), false);
        const Status status = UpdateDocument(repo.get(), "thing", Increment);
        is_finished = counter->operations() <= at + 1;
        const std::int64_t count = Count();
        EXPECT_TRUE(count == before || count == before + 1) << count;
        if (status.ok()) {
          EXPECT_EQ(count, before + 1) << "said OK without having done it";
        }
        Update(repo_.get());
        EXPECT_EQ(Count(), count + 1);
        EXPECT_LE(Numbers().size(), 17U);
      }
    }
  }
}

}  // namespace

}  // namespace pitr
