// One connection at a time to one server, and one request after the other on it. The unit that knows libcurl; the pool above
// it (http.cpp) does not.
//
// Three things hold throughout. No thread that libcurl starts (it makes one per name lookup) takes a signal of this process:
// all are blocked while libcurl runs, and open only while we wait in curl_multi_poll. Nothing is thrown through libcurl's
// frames: callbacks are noexcept and note what went wrong. A connection serves again only after a request that ended well.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/store/http.h"

namespace pitr {

class HttpConnection {
 public:
  // kInvalidArgument for what libcurl refuses or will refuse. Starts libcurl, once per process.
  static Status CheckOptions(const HttpOptions& options);
  // Nothing is connected yet. kOutOfMemory.
  static Result<std::unique_ptr<HttpConnection>> Make();
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // False when a server has said something on the idle connection: all it can have to say is that it ends.
  bool IsQuiet() const;

  struct Job {
    const HttpOptions& options;
    const HttpRequest& request;  // CheckHttpRequest said OK
    const std::string& server;   // ServerOfUrl
    std::int64_t deadline_ms;    // of the monotonic clock
  };
  // As HttpClient::Perform. When it fails, the connection must not be used again, and *may_repeat tells whether the
  // request may go out once more on another: the server ended a connection kept from before without a byte of an answer,
  // and a request that it carried out all the same does no harm a second time (IsRepeatable), or cannot have been
  // carried out since not all of its body went out. libcurl repeats such requests by itself in some cases; those that
  // may not be are stopped there.
  Result<HttpResponse> Exchange(const Job& job, bool* may_repeat);

  struct Handles;  // libcurl's

 private:
  explicit HttpConnection(std::unique_ptr<Handles> handles);
  std::unique_ptr<Handles> handles_;
};

// `host:port` of an http or https URL, for messages; kInvalidArgument when it is none or names a user.
Result<std::string> ServerOfUrl(const std::string& url);

// kOk, or kCancelled, or kUnavailable after the deadline. In http.cpp.
Status CheckCancelAndDeadline(const HttpConnection::Job& job);
// Something of a request has moved. In http.cpp.
void NoteHttpMoved(std::int64_t now_ms);

}  // namespace pitr
