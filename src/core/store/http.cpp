// The client: a pool of connections, and a request that finds its connection closed goes to a new one. Knows no libcurl, see
// http_connection.h.
#include "core/store/http.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/store/http_connection.h"
#include "core/store/http_message.h"

namespace pitr {

namespace {

constexpr std::chrono::milliseconds kPoolWait{50};

// For HasHttpStalled: when something moved last of the request that waits, 0 when none does; with several threads, of any.
constinit std::atomic<std::int64_t> g_moved_at_ms{0};
constinit std::atomic<bool> g_has_failed{false};

void NoteHttpEnd(const Status& status) {
  if (status.code() == Code::kCancelled) {
    return;
  }
  g_has_failed = status.code() == Code::kUnavailable;
  g_moved_at_ms = 0;
}

// Connections that wait for a request, and the count of those that have one. Belongs to one process.
struct Pool {
  Pool(pid_t process, int connections) : pid(process), limit(connections) {
    idle.reserve(static_cast<std::size_t>(connections));
  }
  const pid_t pid;
  const int limit;
  std::mutex mutex;
  std::condition_variable freed;
  std::vector<std::unique_ptr<HttpConnection>> idle;
  int in_use = 0;
};

// A place in the pool, and its connection. A connection is made only where none is idle, so places and idle ones together
// never pass the limit.
class Lease {
 public:
  explicit Lease(Pool* pool) : pool_(pool) {}
  ~Lease() {
    if (!has_place_) {
      return;
    }
    if (!is_kept_) {
      connection_.reset();  // before its place goes to somebody else
    }
    const std::lock_guard lock(pool_->mutex);
    pool_->in_use--;
    if (connection_ != nullptr) {
      pool_->idle.push_back(std::move(connection_));  // has room, see Pool
    }
    pool_->freed.notify_one();
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Status Take(const HttpConnection::Job& job) {
    std::unique_lock lock(pool_->mutex);
    while (pool_->in_use >= pool_->limit) {
      PITR_RETURN_IF_ERROR(CheckCancelAndDeadline(job));
      pool_->freed.wait_for(lock, kPoolWait);
    }
    pool_->in_use++;
    has_place_ = true;
    if (!pool_->idle.empty()) {
      connection_ = std::move(pool_->idle.back());
      pool_->idle.pop_back();
    }
    lock.unlock();
    return connection_ != nullptr && connection_->IsQuiet() ? Status::Ok() : Renew();
  }
  // A fresh connection in the same place.
  Status Renew() {
    connection_.reset();
    PITR_ASSIGN_OR_RETURN(connection_, HttpConnection::Make());
    return Status::Ok();
  }
  void Keep() { is_kept_ = true; }
  HttpConnection* connection() { return connection_.get(); }

 private:
  Pool* pool_;
  std::unique_ptr<HttpConnection> connection_;
  bool has_place_ = false, is_kept_ = false;
};

class PooledClient final : public HttpClient {
 public:
  explicit PooledClient(const HttpOptions& options)
      : options_(options), pool_(new Pool(::getpid(), options.connections)) {}
  ~PooledClient() override {
    Pool* const pool = pool_.load();
    if (pool->pid == ::getpid()) {
      delete pool;
    }
  }
  PooledClient(const PooledClient&) = delete;
  PooledClient& operator=(const PooledClient&) = delete;

  Result<HttpResponse> Perform(const HttpRequest& request) override {
    const std::int64_t deadline =
        std::min(SystemClock().MonotonicMillis() + options_.request_timeout_ms, WaitLimitEnd());
    PITR_RETURN_IF_ERROR(CheckHttpRequest(request));
    PITR_ASSIGN_OR_RETURN(const std::string server, ServerOfUrl(request.url));
    const HttpConnection::Job job{options_, request, server, deadline};
    PITR_RETURN_IF_ERROR(CheckCancelAndDeadline(job));
    NoteHttpMoved(SystemClock().MonotonicMillis());
    Result<HttpResponse> response = Exchange(job);
    NoteHttpEnd(response.status());
    return response;
  }

 private:
  Result<HttpResponse> Exchange(const HttpConnection::Job& job) {
    Lease lease(PoolOfThisProcess());
    PITR_RETURN_IF_ERROR(lease.Take(job));
    bool may_repeat = false;
    Result<HttpResponse> response = lease.connection()->Exchange(job, &may_repeat);
    if (!response.ok() && may_repeat) {
      PITR_RETURN_IF_ERROR(lease.Renew());
      response = lease.connection()->Exchange(job, &may_repeat);
    }
    if (response.ok()) {
      lease.Keep();
    }
    return response;
  }

  // A child made by fork gets a pool of its own. What it inherited is its parent's: a word on those connections, if only
  // that they end, would reach the parent's server, and the mutex may be held by a thread that the child does not have.
  // So it is given up as it is, once per child.
  Pool* PoolOfThisProcess() {
    Pool* pool = pool_.load();
    if (pool->pid == ::getpid()) {
      return pool;
    }
    auto own = std::make_unique<Pool>(::getpid(), options_.connections);
    return pool_.compare_exchange_strong(pool, own.get()) ? own.release() : pool;
  }

  const HttpOptions options_;
  std::atomic<Pool*> pool_;
};

}  // namespace

Status CheckCancelAndDeadline(const HttpConnection::Job& job) {
  if (IsProcessCancelled()) {
    return Status(Code::kCancelled, "request to \"" + job.server + "\" was cancelled");
  }
  if (SystemClock().MonotonicMillis() >= job.deadline_ms) {
    return Status(Code::kUnavailable,
                  "request to \"" + job.server + "\" was not finished within " +
                      (job.deadline_ms == WaitLimitEnd()
                           ? std::string("the time that its caller has")
                           : std::to_string(job.options.request_timeout_ms) + " ms"));
  }
  return Status::Ok();
}

void NoteHttpMoved(std::int64_t now_ms) { g_moved_at_ms = now_ms; }

bool HasHttpStalled(std::int64_t milliseconds) noexcept {
  const std::int64_t moved_at_ms = g_moved_at_ms;
  return g_has_failed ||
         (moved_at_ms != 0 && SystemClock().MonotonicMillis() - moved_at_ms >= milliseconds);
}

Result<std::unique_ptr<HttpClient>> HttpClient::Create(const HttpOptions& options) {
  PITR_RETURN_IF_ERROR(HttpConnection::CheckOptions(options));
  return std::unique_ptr<HttpClient>(std::make_unique<PooledClient>(options));
}

}  // namespace pitr
