#include "core/work/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>

#include "core/base/result.h"

namespace pitr {
namespace {

class FlagCancel final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override { return flag; }
  std::atomic<bool> flag = false;
};

TEST(ThreadPoolTest, CallsEachWorkerOnceOnThreadsOfTheirOwn) {
  std::mutex mutex;
  std::set<int> workers;
  std::set<std::thread::id> threads;
  const Status status = RunThreads(5, nullptr, [&](int worker, const StopSignal& stop) {
    const std::lock_guard<std::mutex> lock(mutex);
    workers.insert(worker);
    threads.insert(std::this_thread::get_id());
    return stop.Check();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(workers, (std::set<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(threads.size(), 5U);
}

TEST(ThreadPoolTest, FewerThanOneWorkerIsOne) {
  int calls = 0;
  EXPECT_TRUE(RunThreads(0, nullptr, [&](int, const StopSignal&) {
                calls++;
                return Status::Ok();
              }).ok());
  EXPECT_EQ(calls, 1);
}

TEST(ThreadPoolTest, FirstFailureStopsTheOthersAndIsReturned) {
  const Status status = RunThreads(4, nullptr, [&](int worker, const StopSignal& stop) -> Status {
    if (worker == 2) {
      return Status(Code::kDiskFull, "full");
    }
    for (;;) {  // ends only because worker 2 failed
      PITR_RETURN_IF_ERROR(stop.Check());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_EQ(status.code(), Code::kDiskFull);
}

TEST(ThreadPoolTest, CancelReachesEveryWorker) {
  FlagCancel cancel;
  const Status status = RunThreads(3, &cancel, [&](int worker, const StopSignal& stop) -> Status {
    if (worker == 1) {
      cancel.flag = true;
    }
    for (;;) {
      PITR_RETURN_IF_ERROR(stop.Check());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
}

TEST(ThreadPoolTest, ExceptionsOfTheLibraryBecomeAStatus) {
  EXPECT_EQ(RunThreads(2, nullptr, [](int, const StopSignal&) -> Status { throw std::bad_alloc(); })
                .code(),
            Code::kOutOfMemory);
  EXPECT_EQ(
      RunThreads(2, nullptr, [](int, const StopSignal&) -> Status { throw std::length_error("x"); })
          .code(),
      Code::kInternal);
}

}  // namespace
}  // namespace pitr
