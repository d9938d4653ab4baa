// Servers that are slow, silent, or gone in the middle of it; and callers that no longer want to wait.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "core/store/http.h"
#include "unit/support/http_call.h"
#include "unit/support/script_server.h"

namespace pitr {

namespace {

constexpr std::size_t kLarge = 8U << 20;

// One line that names the server and nothing of the request.
void ExpectUnavailable(const Status& status, std::string_view text) {
  EXPECT_EQ(status.code(), Code::kUnavailable) << status.ToString();
  EXPECT_TRUE(Has(status.message(), text)) << status.ToString();
  EXPECT_TRUE(Has(status.message(), "\"127.0.0.1:")) << status.ToString();
  EXPECT_FALSE(Has(status.ToString(), "secret")) << status.ToString();
  EXPECT_EQ(status.ToString().find('\n'), std::string::npos);
}

HttpRequest Secret(const char* method, const std::string& url, std::string_view body = {}) {
  return MakeRequest(method, url + "?signature=secret", body, {{"Authorization", "secret"}});
}

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

TEST(Http, APortOnWhichNobodyListensIsNamed) {
  int port = 0;
  {
    const ScriptServer server([](const ScriptRequest&) { return ScriptReply(); });
    port = server.port();
  }
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string address = "127.0.0.1:" + std::to_string(port);
  const Status status = Fail(client.get(), Secret("GET", "http://" + address + "/bucket"));
  ExpectUnavailable(status, "could not reach \"" + address + "\": ");
  EXPECT_TRUE(Has(status.message(), "refused") || Has(status.message(), "connect"))
      << status.ToString();
}

TEST(Http, ConnectingEndsAtItsLimit) {
  const FullPort port;
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connect_ms = 200}));
  const std::int64_t begin = Now();
  ExpectUnavailable(Fail(client.get(), Secret("GET", port.Url())), "no connection within 200 ms");
  EXPECT_GE(Now() - begin, 190);
  EXPECT_LT(Now() - begin, 2000);
}

TEST(Http, ATlsHandshakeThatIsNotAnsweredIsPartOfConnecting) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply(); });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connect_ms = 300}));
  ExpectUnavailable(Fail(client.get(), Secret("GET", "https://" + server.Address() + "/")),
                    "no connection within 300 ms");
}

TEST(Http, AServerThatNeverAnswersReachesTheIdleLimit) {
  const ScriptServer server(
      [](const ScriptRequest&) { return ScriptReply{.is_silent = true, .end = ScriptEnd::kHang}; });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.idle_ms = 300}));
  const std::int64_t begin = Now();
  ExpectUnavailable(Fail(client.get(), Secret("GET", server.Url("/"))),
                    "nothing was sent or received for 300 ms");
  EXPECT_GE(Now() - begin, 290);
  EXPECT_LT(Now() - begin, 2000);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(Http, WhatNoLongerMovesIsKnown) {
  std::atomic<bool> is_silent = false;
  const ScriptServer server([&](const ScriptRequest&) {
    return is_silent ? ScriptReply{.is_silent = true, .end = ScriptEnd::kHang} : ScriptReply();
  });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.idle_ms = 600}));
  Get(client.get(), server.Url("/"));
  EXPECT_FALSE(HasHttpStalled(0));
  is_silent = true;
  std::thread waiting(
      [&] { EXPECT_FALSE(Fail(client.get(), Secret("GET", server.Url("/"))).ok()); });
  while (server.requests().size() < 2U) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(HasHttpStalled(10000));
  const std::int64_t begin = Now();
  while (!HasHttpStalled(200) && Now() - begin < 10000) {
    std::this_thread::yield();
  }
  EXPECT_GE(Now() - begin, 100);
  waiting.join();
  EXPECT_TRUE(HasHttpStalled(10000)) << "it has failed";
  is_silent = false;
  Get(client.get(), server.Url("/"));
  EXPECT_FALSE(HasHttpStalled(0)) << "another one has not";
}

TEST(Http, ABodyThatStopsComingReachesTheIdleLimit) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.body = Noise(1000), .cut_at = 500, .end = ScriptEnd::kHang};
  });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.idle_ms = 300}));
  ExpectUnavailable(Fail(client.get(), Secret("GET", server.Url("/"))),
                    "nothing was sent or received for 300 ms");
}

TEST(Http, ABodyThatIsNoLongerTakenReachesTheIdleLimit) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply(); },
                            {.on_head = [](const ScriptRequest&) {
                              return ScriptBody{.read = 1000, .end = ScriptEnd::kHang};
                            }});
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.idle_ms = 300}));
  const std::string body = Noise(kLarge);
  ExpectUnavailable(Fail(client.get(), Secret("PUT", server.Url("/"), body)),
                    "nothing was sent or received for 300 ms");
}

TEST(Http, SlowIsNotIdle) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.body = Noise(3000), .pace_bytes = 100, .pace_ms = 50};
  });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.idle_ms = 700}));
  const std::int64_t begin = Now();
  EXPECT_EQ(Get(client.get(), server.Url("/")).body.size(), 3000U);
  EXPECT_GT(Now() - begin, 1000);
}

// The whole body fits into the buffers of the system; that it lies there is no silence while the other side takes from it.
TEST(Http, ASlowReaderIsNotIdle) {
  const ScriptServer server(
      [](const ScriptRequest&) { return ScriptReply(); },
      {.on_head =
           [](const ScriptRequest&) { return ScriptBody{.pace_bytes = 32768, .pace_ms = 40}; },
       .receive_buffer = 65536});
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.idle_ms = 700}));
  const std::string body = Noise(2U << 20);
  const std::int64_t begin = Now();
  EXPECT_EQ(Ask(client.get(), MakeRequest("PUT", server.Url("/"), body)).status, 200);
  EXPECT_GT(Now() - begin, 1500);
}

TEST(Http, TheWholeRequestHasALimitHoweverMuchMoves) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.body = Noise(100000), .pace_bytes = 100, .pace_ms = 10};
  });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.request_ms = 400}));
  const std::int64_t begin = Now();
  ExpectUnavailable(Fail(client.get(), Secret("GET", server.Url("/"))),
                    "was not finished within 400 ms");
  EXPECT_GE(Now() - begin, 390);
  EXPECT_LT(Now() - begin, 2000);
}

TEST(Http, WaitingForAConnectionIsPartOfTheRequest) {
  const ScriptServer server(
      [](const ScriptRequest&) { return ScriptReply{.is_silent = true, .end = ScriptEnd::kHang}; });
  const std::unique_ptr<HttpClient> client =
      MakeClient(WithLimits({.request_ms = 400, .connections = 1}));
  std::thread other([&] { Fail(client.get(), MakeRequest("GET", server.Url("/"))).ok(); });
  while (server.requests().empty()) {
    std::this_thread::yield();
  }
  ExpectUnavailable(Fail(client.get(), Secret("GET", server.Url("/"))), "within 400 ms");
  other.join();
}

TEST(Http, AConnectionLostInTheMiddleIsUnavailable) {
  struct Case {
    const char* what;
    ScriptReply reply;
  };
  const std::string body = Noise(100000);
  for (const Case& c : {
           Case{"closed before the answer", {.is_silent = true, .end = ScriptEnd::kClose}},
           Case{"reset before the answer", {.is_silent = true, .end = ScriptEnd::kReset}},
           Case{"closed in the head", {.head = "HTTP/1.1 200 OK\r\nA:", .end = ScriptEnd::kClose}},
           Case{"closed in the body", {.body = body, .cut_at = 50000, .end = ScriptEnd::kClose}},
           Case{"closed before the body", {.body = body, .cut_at = 0, .end = ScriptEnd::kClose}},
           Case{"reset in the body", {.body = body, .cut_at = 50000, .end = ScriptEnd::kReset}},
           Case{"closed in a chunk",
                {.body = body, .is_chunked = true, .cut_at = 1500, .end = ScriptEnd::kClose}},
           Case{"no HTTP at all", {.head = "hello\r\n\r\n", .end = ScriptEnd::kClose}},
       }) {
    SCOPED_TRACE(c.what);
    const ScriptServer server([&](const ScriptRequest& request) {
      return request.target == "/good" ? ScriptReply() : c.reply;
    });
    const std::unique_ptr<HttpClient> client = MakeClient();
    ExpectUnavailable(Fail(client.get(), Secret("GET", server.Url("/"))),
                      "connection to \"" + server.Address() + "\" was lost: ");
    EXPECT_EQ(server.requests().size(), 1U);
    EXPECT_EQ(Get(client.get(), server.Url("/good")).status, 200);
    EXPECT_EQ(server.requests().back().connection, 1);
  }
}

TEST(Http, AResetInTheMiddleOfAnUploadIsUnavailable) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply(); },
                            {.on_head = [](const ScriptRequest&) {
                              return ScriptBody{.read = 1U << 20, .end = ScriptEnd::kReset};
                            }});
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string body = Noise(kLarge);
  ExpectUnavailable(Fail(client.get(), Secret("PUT", server.Url("/"), body)), "was lost: ");
  EXPECT_EQ(server.requests().size(), 1U);  // the connection was new: nothing to repeat
}

TEST(Http, AKeptConnectionThatWasClosedMeanwhileIsReplaced) {
  const ScriptServer server(
      [](const ScriptRequest&) { return ScriptReply{.body = "x", .end = ScriptEnd::kClose}; });
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (int i = 0; i < 5; i++) {
    EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
    // A conditional request, too: it is not sent before the end of the connection is seen.
    server.AwaitNoneOpen();
    EXPECT_EQ(Ask(client.get(), MakeRequest("PUT", server.Url("/"), "x", {{"If-None-Match", "*"}}))
                  .status,
              200);
    server.AwaitNoneOpen();
  }
  EXPECT_EQ(server.requests().size(), 10U);
}

// The server closes a kept connection just when a request arrives on it.
class ClosingServer {
 public:
  // `reads`: so much of the body on the kept connection before it closes; npos: all of it.
  explicit ClosingServer(std::size_t reads, bool closes_always = false)
      : server_(
            [=](const ScriptRequest& request) {
              return request.target == "/first" || (request.connection > 0 && !closes_always)
                         ? ScriptReply{.body = "done"}
                         : ScriptReply{.is_silent = true, .end = ScriptEnd::kClose};
            },
            {.on_head = [=](const ScriptRequest& request) {
              return request.target != "/first" && request.connection == 0 &&
                             reads != std::string::npos
                         ? ScriptBody{.read = reads, .end = ScriptEnd::kReset}
                         : ScriptBody();
            }}) {}
  std::string Url(std::string_view target) const { return server_.Url(target); }
  std::size_t requests() const { return server_.requests().size(); }
  ScriptRequest last() const { return server_.requests().back(); }

 private:
  ScriptServer server_;
};

TEST(Http, ARequestThatMeetsTheEndOfAKeptConnectionGoesToANewOne) {
  const std::string small = "small", large = Noise(kLarge);
  for (const char* const method : {"GET", "HEAD", "DELETE", "PUT"}) {
    SCOPED_TRACE(method);
    const std::string body = *method == 'P' ? small : "";
    const ClosingServer server(std::string::npos);
    const std::unique_ptr<HttpClient> client = MakeClient();
    Get(client.get(), server.Url("/first"));
    EXPECT_EQ(Ask(client.get(), MakeRequest(method, server.Url("/"), body)).status, 200);
    EXPECT_EQ(server.requests(), 3U);
    EXPECT_EQ(server.last().connection, 1);
    EXPECT_EQ(server.last().body, body);
  }
}

TEST(Http, ButNotWhenItMayHaveBeenCarriedOutAndASecondTimeIsAnotherMatter) {
  for (const HttpHeaders& headers : {HttpHeaders{}, HttpHeaders{{"If-None-Match", "*"}}}) {
    const char* const method = headers.empty() ? "POST" : "PUT";
    for (const char* const body : {"", "small"}) {
      SCOPED_TRACE(std::string(method) + " " + body);
      const ClosingServer server(std::string::npos);
      const std::unique_ptr<HttpClient> client = MakeClient();
      Get(client.get(), server.Url("/first"));
      HttpRequest request = Secret(method, server.Url("/"), body);
      request.headers.insert(request.headers.end(), headers.begin(), headers.end());
      ExpectUnavailable(Fail(client.get(), request), "was lost: ");
      EXPECT_EQ(server.requests(), 2U);
    }
  }
}

TEST(Http, ABodyThatBrokeOffWasNotCarriedOutAndGoesOutAgain) {
  const std::string large = Noise(kLarge);
  for (const char* const method : {"PUT", "POST"}) {
    SCOPED_TRACE(method);
    const ClosingServer server(100000);
    const std::unique_ptr<HttpClient> client = MakeClient();
    Get(client.get(), server.Url("/first"));
    HttpRequest request = MakeRequest(method, server.Url("/"), large, {{"If-None-Match", "*"}});
    EXPECT_EQ(Ask(client.get(), request).status, 200);
    EXPECT_EQ(server.requests(), 3U);
    EXPECT_TRUE(server.last().body == large);
  }
}

TEST(Http, ItIsRepeatedOnceOnly) {
  const ClosingServer server(std::string::npos, true);
  const std::unique_ptr<HttpClient> client = MakeClient();
  Get(client.get(), server.Url("/first"));
  ExpectUnavailable(Fail(client.get(), Secret("GET", server.Url("/"))), "was lost: ");
  EXPECT_EQ(server.requests(), 3U);
}

// Cancels once the server is where `is_there` says and some more time has passed; gives the time that took. The best of
// three, since the machine may be busy with other tests.
std::int64_t MillisToCancel(HttpClient* client, const HttpRequest& request,
                            const std::function<bool()>& is_there) {
  std::int64_t best = 1000000;
  for (int i = 0; i < 3 && best > 250; i++) {
    CancelScope cancel;
    std::thread other([&] {
      while (!is_there()) {
        std::this_thread::yield();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(120));
      cancel.Set();
    });
    const Status status = Fail(client, request);
    best = std::min(best, cancel.MillisSince());
    other.join();
    EXPECT_EQ(status.code(), Code::kCancelled) << status.ToString();
    EXPECT_FALSE(Has(status.ToString(), "secret"));
  }
  return best;
}

TEST(Http, ACancelEndsConnecting) {
  const FullPort port;
  const std::unique_ptr<HttpClient> client = MakeClient();
  EXPECT_LE(MillisToCancel(client.get(), Secret("GET", port.Url()), [] { return true; }), 250);
}

TEST(Http, ACancelEndsWaitingForTheAnswer) {
  const ScriptServer server(
      [](const ScriptRequest&) { return ScriptReply{.is_silent = true, .end = ScriptEnd::kHang}; });
  const std::unique_ptr<HttpClient> client = MakeClient();
  EXPECT_LE(MillisToCancel(client.get(), Secret("GET", server.Url("/")),
                           [&] { return !server.requests().empty(); }),
            250);
}

TEST(Http, ACancelEndsABodyOnItsWay) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.body = Noise(1000), .cut_at = 500, .end = ScriptEnd::kHang};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  EXPECT_LE(MillisToCancel(client.get(), Secret("GET", server.Url("/")),
                           [&] { return !server.requests().empty(); }),
            250);
}

TEST(Http, ACancelEndsABodyThatMoves) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.body = Noise(1000000), .pace_bytes = 100, .pace_ms = 1};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  EXPECT_LE(MillisToCancel(client.get(), Secret("GET", server.Url("/")),
                           [&] { return !server.requests().empty(); }),
            250);
}

TEST(Http, ACancelEndsAnUpload) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply(); },
                            {.on_head = [](const ScriptRequest&) {
                              return ScriptBody{.read = 1000, .end = ScriptEnd::kHang};
                            }});
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string body = Noise(kLarge);
  EXPECT_LE(MillisToCancel(client.get(), Secret("PUT", server.Url("/"), body),
                           [&] { return !server.requests().empty(); }),
            250);
}

TEST(Http, ACancelEndsWaitingForAConnectionAndReachesEveryRequest) {
  const ScriptServer server(
      [](const ScriptRequest&) { return ScriptReply{.is_silent = true, .end = ScriptEnd::kHang}; });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connections = 1}));
  CancelScope cancel;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      EXPECT_EQ(Fail(client.get(), MakeRequest("GET", server.Url("/"))).code(), Code::kCancelled);
    });
  }
  while (server.requests().empty()) {
    std::this_thread::yield();
  }
  cancel.Set();
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_LT(cancel.MillisSince(), 2000);
  EXPECT_EQ(server.requests().size(), 1U);
  cancel.Clear();
}

TEST(Http, NothingIsConnectedOnceCancelled) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply(); });
  const std::unique_ptr<HttpClient> client = MakeClient();
  {
    CancelScope cancel;
    cancel.Set();
    EXPECT_EQ(Fail(client.get(), MakeRequest("GET", server.Url("/"))).code(), Code::kCancelled);
    EXPECT_EQ(server.connections(), 0);
    cancel.Clear();
    EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
  }
  EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
}

}  // namespace

}  // namespace pitr
