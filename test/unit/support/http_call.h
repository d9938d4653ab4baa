// Short forms for tests of the transport.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/store/http.h"

namespace pitr {

struct HttpLimits {
  std::int64_t connect_ms = 10000, idle_ms = 10000, request_ms = 60000;
  int connections = 8;
};
inline HttpOptions WithLimits(const HttpLimits& limits) {
  HttpOptions options;
  options.connect_timeout_ms = limits.connect_ms;
  options.idle_timeout_ms = limits.idle_ms;
  options.request_timeout_ms = limits.request_ms;
  options.connections = limits.connections;
  return options;
}
inline HttpOptions WithCa(std::string file) {
  HttpOptions options;
  options.ca_file = std::move(file);
  return options;
}
inline HttpOptions WithProxy(std::string proxy) {
  HttpOptions options;
  options.proxy = std::move(proxy);
  return options;
}

inline std::unique_ptr<HttpClient> MakeClient(const HttpOptions& options = {}) {
  Result<std::unique_ptr<HttpClient>> client = HttpClient::Create(options);
  EXPECT_TRUE(client.ok()) << client.status().ToString();
  return client.ok() ? *std::move(client) : nullptr;
}

// `body` must outlive it.
inline HttpRequest MakeRequest(std::string method, std::string url, std::string_view body = {},
                               HttpHeaders headers = {}) {
  HttpRequest request;
  request.method = std::move(method);
  request.url = std::move(url);
  request.headers = std::move(headers);
  request.body = AsBytes(body);
  return request;
}

// The answer; a test failure when there is none.
inline HttpResponse Ask(HttpClient* client, const HttpRequest& request) {
  Result<HttpResponse> response = client->Perform(request);
  EXPECT_TRUE(response.ok()) << response.status().ToString();
  return response.ok() ? *std::move(response) : HttpResponse();
}

inline HttpResponse Get(HttpClient* client, const std::string& url) {
  return Ask(client, MakeRequest("GET", url));
}

inline Status Fail(HttpClient* client, const HttpRequest& request) {
  Result<HttpResponse> response = client->Perform(request);
  EXPECT_FALSE(response.ok());
  return std::move(response).status();
}

// `size` bytes that are not the same everywhere.
inline std::string Noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

inline bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Cancels every request of this process while Set, and none after its scope.
class CancelScope final : public CancelToken {
 public:
  CancelScope() { SetProcessCancel(this); }
  ~CancelScope() override { SetProcessCancel(nullptr); }
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  bool IsCancelled() const noexcept override { return is_set_.load(); }
  void Set() {
    set_at_ms_.store(SystemClock().MonotonicMillis());
    is_set_.store(true);
  }
  void Clear() { is_set_.store(false); }
  std::int64_t MillisSince() const { return SystemClock().MonotonicMillis() - set_at_ms_.load(); }

 private:
  std::atomic<bool> is_set_ = false;
  std::atomic<std::int64_t> set_at_ms_ = 0;
};

}  // namespace pitr
