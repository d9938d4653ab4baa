// An HTTP/1.1 server on 127.0.0.1 that answers, or fails to, as a test says. A thread accepts, and each connection has one:
// what the test hands in is called by several at once.
//
//   ScriptServer server([](const ScriptRequest& request) { return ScriptReply{.status = 404}; });
//   ... server.Url("/x") ... server.requests()[0].method ...
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/store/http.h"
#include "unit/support/test_certificate.h"

namespace pitr {

struct ScriptRequest {
  std::string method, target;
  HttpHeaders headers;  // names in lower case, as they came
  std::string body;     // what was read of it
  int connection = 0;   // counted from 0 as they were accepted
  // "" when there is none.
  std::string Header(std::string_view name) const;
};

enum class ScriptEnd {
  kKeep,   // the next request
  kClose,  // unannounced
  kReset,  // the other side sees a reset connection
  kHang,   // nothing, until the other side has closed
};

struct ScriptReply {
  int status = 200;
  HttpHeaders headers = {};
  std::string body = {};    // for HEAD only its length is sent
  std::string head = {};    // when not empty, sent instead of status line, headers and empty line
  bool is_chunked = false;  // in pieces of some 1000 bytes
  bool has_length = true;   // Content-Length
  bool is_silent = false;   // not a byte of all this
  int delay_ms = 0;         // before the first byte
  std::size_t cut_at = std::string::npos;  // so many bytes behind the head, no more
  std::size_t pace_bytes = 0;              // so many at a time (0: all) ...
  int pace_ms = 0;                         // ... with this between them
  ScriptEnd end = ScriptEnd::kKeep;
};

// What becomes of the body of a request.
struct ScriptBody {
  std::size_t read = std::string::npos;  // so many bytes at most
  std::size_t pace_bytes = 0;            // so many at a time (0: as they come) ...
  int pace_ms = 0;                       // ... with this between them
  ScriptEnd end = ScriptEnd::kKeep;      // kKeep: the handler is asked; else it is not
};

struct ScriptOptions {
  std::function<ScriptBody(const ScriptRequest&)> on_head = {};  // before the body is read
  TestCertificate certificate = {};                              // when not empty: TLS
  int receive_buffer = 0;                                        // bytes; 0: the system's choice
};

class ScriptServer {
 public:
  using Handler = std::function<ScriptReply(const ScriptRequest&)>;
  explicit ScriptServer(Handler handler, ScriptOptions options = {});
  // Ends every connection, whatever it is at.
  ~ScriptServer();
  ScriptServer(const ScriptServer&) = delete;
  ScriptServer& operator=(const ScriptServer&) = delete;

  int port() const;
  std::string Address() const;  // 127.0.0.1:port
  std::string Url(std::string_view target) const;
  // Those whose head was read, in order; `body` as far as it was read when they were answered.
  std::vector<ScriptRequest> requests() const;
  int connections() const;     // accepted so far
  int most_at_once() const;    // of connections open at a time
  void AwaitNoneOpen() const;  // all connections so far have been closed by this side

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A port of 127.0.0.1 on which connecting hangs: its queue is full, and nobody accepts.
class FullPort {
 public:
  FullPort();
  ~FullPort();
  FullPort(const FullPort&) = delete;
  FullPort& operator=(const FullPort&) = delete;
  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  std::vector<int> sockets_;
  int port_ = 0;
};

}  // namespace pitr
