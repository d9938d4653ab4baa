#include "core/demand/fetch_table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/bytes.h"

namespace pitr::demand {
namespace {

constexpr std::uint32_t kFrames = 100;

class FetchTableTest : public ::testing::Test {
 protected:
  FetchTableTest() {
    IndexContent content;
    content.snapshot = "sn-20261120T100000-abcd";
    content.places = {"fetch:s3://bucket/prefix?endpoint=http://127.0.0.1:9", "/folder"};
    content.packs = {"packs/sn-20261120T100000-abcd/000001"};
    for (std::uint32_t i = 0; i < kFrames; i++) {
      content.frames.push_back({0, i * 4096ULL, i, 4096, 8192, false});
    }
    content.files = {{"base/5/1259", 1, {{0, 1, 0, 0}}, 1234, 0, 0}};
    bytes_ = EncodeIndex(content);
    const auto index = IndexView::Open(bytes_);
    EXPECT_TRUE(index.ok()) << index.status().ToString();
    index_ = *index;
    memory_ = ::mmap(nullptr, FetchTable::SharedSize(), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    table_ = FetchTable(memory_);
    table_.SetWorkers(1);
    WatchWaits({&die_, &cancel_, &critical_, ::getppid()});
  }
  ~FetchTableTest() override {
    Stop();
    WatchWaits({});
    ::munmap(memory_, FetchTable::SharedSize());
  }
  FetchTableTest(const FetchTableTest&) = delete;
  FetchTableTest& operator=(const FetchTableTest&) = delete;

  // Each worker leaves the number of the frame in all bytes of what it fetched.
  void Serve(int workers, const char* failure = nullptr) {
    for (int i = 0; i < workers; i++) {
      workers_.emplace_back([this, failure] {
        while (!stop_) {
          FetchTable::Work work;
          if (!table_.Take(&work)) {
            table_.WaitForWork(20);
            continue;
          }
          std::memset(work.packed, static_cast<int>(work.frame), 4096);
          fetched_++;
          table_.Finish(work, failure);
        }
      });
    }
  }
  void Stop() {
    stop_ = true;
    for (std::thread& worker : workers_)
      worker.join();
    workers_.clear();
    stop_ = false;
  }
  bool Fetch(std::uint32_t frame) {
    std::vector<std::uint8_t> packed(kMaxPackedBytes);
    FetchFailure failure = {};
    const bool is_there = table_.Fetch(index_, frame, 0, packed.data(), &failure);
    const std::lock_guard lock(mutex_);
    said_ = failure.text;
    return is_there && packed[0] == frame && packed[4095] == frame;
  }

  Bytes bytes_;
  IndexView index_;
  void* memory_ = nullptr;
  FetchTable table_;
  std::vector<std::thread> workers_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> fetched_ = 0;
  std::mutex mutex_;
  std::string said_;
  volatile int die_ = 0, cancel_ = 0;
  volatile std::uint32_t critical_ = 0;
};

TEST_F(FetchTableTest, KnowsWhichPlacesAreFetched) {
  EXPECT_TRUE(HasFetchedPlaces(index_));
  EXPECT_TRUE(IsFetched(index_, 0));
  EXPECT_FALSE(IsFetched(index_, 1));
}

TEST_F(FetchTableTest, AFrameThatManyWantIsFetchedOnce) {
  std::vector<std::thread> sessions;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; i++) {
    sessions.emplace_back([&] { good += Fetch(7) ? 1 : 0; });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  Serve(3);
  for (std::thread& session : sessions)
    session.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(fetched_, 1);
}

TEST_F(FetchTableTest, ManySessionsGetWhatTheyAskFor) {
  Serve(4);
  std::vector<std::thread> sessions;
  std::atomic<int> good = 0;
  for (std::uint32_t i = 0; i < 8; i++) {
    sessions.emplace_back([&, i] {
      for (std::uint32_t round = 0; round < 10'000; round++) {
        if (round % 3 == 0) table_.Expect((round * 11 + i) % kFrames, 0);
        good += Fetch((round * 7 + i * (round % 2)) % kFrames) ? 1 : 0;
      }
    });
  }
  for (std::thread& session : sessions)
    session.join();
  EXPECT_EQ(good, 80'000);
}

TEST_F(FetchTableTest, WhoWaitsComesBeforeWhatIsExpected) {
  for (std::uint32_t frame = 10; frame < 10 + FetchTable::kSlots + 5; frame++) {
    table_.Expect(frame, 0);
  }
  std::thread session([&] { EXPECT_TRUE(Fetch(3)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  FetchTable::Work work;
  ASSERT_TRUE(table_.Take(&work));
  EXPECT_EQ(work.frame, 3U) << "taken out of order, and what was expected made room";
  std::memset(work.packed, 3, 4096);
  table_.Finish(work, nullptr);
  session.join();
  ASSERT_TRUE(table_.Take(&work));
  EXPECT_EQ(work.frame, 11U) << "the first one expected had to go, since it was the oldest";
}

TEST_F(FetchTableTest, AFailureIsToldAndTriedAnew) {
  Serve(1, "it is not there");
  EXPECT_FALSE(Fetch(5));
  EXPECT_EQ(said_,
            "a page could not be loaded from repository \"s3://bucket/prefix\": it is not there");
  Stop();
  Serve(1);
  EXPECT_TRUE(Fetch(5));
}

TEST_F(FetchTableTest, WhatWasDamagedIsFetchedAnew) {
  Serve(1);
  EXPECT_TRUE(Fetch(5));
  EXPECT_TRUE(Fetch(5));
  EXPECT_EQ(fetched_, 1) << "it is still there";
  table_.Forget(5, 0);
  EXPECT_TRUE(Fetch(5));
  EXPECT_EQ(fetched_, 2);
}

TEST_F(FetchTableTest, AWorkerThatEndsGivesItsWorkBack) {
  std::thread session([&] { EXPECT_TRUE(Fetch(9)); });
  FetchTable::Work work;
  while (!table_.Take(&work))
    std::this_thread::yield();
  table_.GiveBack(work);
  Serve(1);
  session.join();
}

TEST_F(FetchTableTest, WaitingCanBeCancelledButNotWhereThatWouldEndTheServer) {
  cancel_ = 1;
  EXPECT_FALSE(Fetch(1));
  EXPECT_NE(said_.find("was cancelled"), std::string::npos) << said_;
  critical_ = 1;
  std::thread session([&] { EXPECT_TRUE(Fetch(1)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  Serve(1);
  session.join();
}

TEST_F(FetchTableTest, NobodyWaitsWhereNobodyFetches) {
  table_.SetWorkers(0);
  EXPECT_FALSE(Fetch(1));
  EXPECT_NE(said_.find("no fetch worker"), std::string::npos) << said_;
  table_.Expect(2, 0);
  FetchTable::Work work;
  EXPECT_FALSE(table_.Take(&work));
}

TEST_F(FetchTableTest, NobodyOutlivesTheServerInIt) {
  WatchWaits({nullptr, nullptr, nullptr, ::getppid() + 1});
  EXPECT_FALSE(Fetch(1));
  EXPECT_NE(said_.find("the server has ended"), std::string::npos) << said_;
}

}  // namespace
}  // namespace pitr::demand
