// One request, one response, over libcurl; the only place that knows it. Nothing here knows what the requests mean.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr {

struct HttpOptions {
  std::string ca_file;  // PEM; empty: the system's
  std::string proxy;    // empty: none (the environment's variables are not heeded)
  std::int64_t connect_timeout_ms = 10000;
  std::int64_t idle_timeout_ms = 30000;      // no byte in either direction for so long
  std::int64_t request_timeout_ms = 600000;  // the whole request
  int connections = 8;                       // at once; more requests wait for a free one
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // GET, HEAD, PUT, POST, DELETE
  // Sent exactly as it stands: path and query are encoded already.
  std::string url;
  // Complete: the client adds Content-Length, and Host where it is missing (no Expect, no default Content-Type).
  HttpHeaders headers;
  ByteView body;                          // must live until Perform returns
  std::uint64_t max_response = 1U << 20;  // a longer body is kLimit
  // Called when all of the body but its last byte has gone out; the rest waits for its end. May make another request, if the client may
  // have two connections. For bodies of more than one byte.
  std::function<void()> before_end;
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;  // names in lower case
  Bytes body;           // empty for HEAD
  // "" when there is none; the first of several.
  std::string Header(std::string_view name) const;
};

class HttpClient {
 public:
  // Nothing is connected yet. kInvalidArgument for options that libcurl refuses.
  static Result<std::unique_ptr<HttpClient>> Create(const HttpOptions& options);
  virtual ~HttpClient() = default;

  // Any answer with a status line is OK, a 500 as well; redirects are not followed. Thread-safe; connections are kept and used again.
  // kUnavailable: no connection, TLS refused, time limit, connection lost or body shorter than announced (the message names
  // host and cause, never a header). kCancelled within 250 ms after the process is to stop (base/cancel.h). kLimit: the body is too long.
  // No retries here: a request may have been carried out although its answer was lost. The one exception is a kept connection
  // that ends under a request before a byte of the answer: then it goes out once more on a new one if it is a GET or HEAD, a
  // PUT or DELETE without a condition (they set a state, twice as well as once), or if its body had not gone out whole.
  virtual Result<HttpResponse> Perform(const HttpRequest& request) = 0;
};

// Of this process: the last request ended without an answer, or nothing of it has moved for so long. For whoever must decide whether a
// server is worth another request. One that was cancelled counts as if it went on.
bool HasHttpStalled(std::int64_t milliseconds) noexcept;

}  // namespace pitr
