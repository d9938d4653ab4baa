// Exceptions of the C++ library (memory, no more threads) end here: nothing may leave a thread.
#include "core/work/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace pitr {

namespace {

class FirstFailure {
 public:
  void Keep(Status status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_.ok()) {
      status_ = std::move(status);
    }
  }
  Status Take() { return std::move(status_); }

 private:
  std::mutex mutex_;
  Status status_;
};

Status Guarded(const std::function<Status(int, const StopSignal&)>& body, int worker,
               const StopSignal& stop) {
  try {
    return body(worker, stop);
  } catch (const std::bad_alloc&) {
    return Status(Code::kOutOfMemory, "out of memory");
  } catch (const std::exception& e) {
    return Status(Code::kInternal, std::string("unexpected exception: ") + e.what());
  }
}

// Signals are for the main thread, which knows what to do with them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Status StopSignal::Check() const {
  if (cancel_ != nullptr && cancel_->IsCancelled()) {
    return Status(Code::kCancelled, "cancelled");
  }
  if (is_raised_.load(std::memory_order_relaxed)) {
    return Status(Code::kCancelled, "stopped because another thread failed");
  }
  return Status::Ok();
}

Status RunThreads(int workers, const CancelToken* cancel,
                  const std::function<Status(int worker, const StopSignal& stop)>& body) {
  StopSignal stop(cancel);
  FirstFailure failure;
  const auto run = [&](int worker) {
    Status status = Guarded(body, worker, stop);
    if (!status.ok()) {
      failure.Keep(std::move(status));
      stop.Raise();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(std::max(workers, 1)));
  {
    const SignalsBlocked blocked;
    try {
      for (int worker = 1; worker < workers; worker++) {
        threads.emplace_back(run, worker);
      }
    } catch (const std::system_error&) {
      // Fewer threads do the same work.
    }
  }
  run(0);
  for (std::thread& thread : threads) {
    thread.join();
  }
  return failure.Take();
}

}  // namespace pitr
