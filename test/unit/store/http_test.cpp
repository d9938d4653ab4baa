// What goes over the wire, and connections that are kept. Failures are in http_failure_test.cpp, TLS, proxies, name lookups
// and other processes in http_place_test.cpp.
#include "core/store/http.h"

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "unit/support/http_call.h"
#include "unit/support/script_server.h"

namespace pitr {

namespace {

constexpr std::size_t kLarge = 8U << 20;

ScriptReply Echo(const ScriptRequest& request) { return {.body = request.body}; }

TEST(Http, SendsWhatItIsGivenAndNothingElse) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply{.body = "hello"}; });
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string target = "/a//b/./../c%2F%2f+~?x=%7E&empty=&flag&y=a/../b?c";
  const HttpResponse response =
      Ask(client.get(), MakeRequest("GET", server.Url(target), "",
                                    {{"X-One", "a: b; c"}, {"x-none", ""}, {"X-One", "second"}}));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(AsText(response.body), "hello");
  ASSERT_EQ(server.requests().size(), 1U);
  const ScriptRequest request = server.requests()[0];
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, target);
  const HttpHeaders expected = {
      {"host", server.Address()}, {"x-one", "a: b; c"}, {"x-none", ""}, {"x-one", "second"}};
  EXPECT_EQ(request.headers, expected);
}

TEST(Http, AHostThatIsGivenIsSentInsteadOfTheOneOfTheUrl) {
  const ScriptServer server(Echo);
  const std::unique_ptr<HttpClient> client = MakeClient();
  Ask(client.get(), MakeRequest("GET", server.Url(""), "", {{"Host", "bucket.example"}}));
  const HttpHeaders expected = {{"host", "bucket.example"}};
  EXPECT_EQ(server.requests()[0].headers, expected);
  EXPECT_EQ(server.requests()[0].target, "/");
}

TEST(Http, EveryMethodWithItsLength) {
  const ScriptServer server(Echo);
  const std::unique_ptr<HttpClient> client = MakeClient();
  struct Case {
    const char *method, *body, *length;
  };
  for (const Case& c : {Case{"PUT", "abc", "3"}, Case{"PUT", "", "0"}, Case{"POST", "abcd", "4"},
                        Case{"POST", "", "0"}, Case{"DELETE", "", ""}, Case{"DELETE", "ab", "2"},
                        Case{"GET", "", ""}, Case{"GET", "a", "1"}, Case{"HEAD", "", ""}}) {
    SCOPED_TRACE(c.method);
    const HttpResponse response =
        Ask(client.get(), MakeRequest(c.method, server.Url("/x"), c.body));
    EXPECT_EQ(AsText(response.body), c.body);
    const ScriptRequest request = server.requests().back();
    EXPECT_EQ(request.method, c.method);
    EXPECT_EQ(request.body, c.body);
    EXPECT_EQ(request.Header("content-length"), c.length);
    EXPECT_EQ(request.headers.size(), *c.length == '\0' ? 1U : 2U);  // and Host
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, TheEndOfABodyWaitsForAnotherRequest) {
  std::mutex mutex;
  std::vector<std::string> whole;  // requests in the order of their ends
  const ScriptServer server([&](const ScriptRequest& request) {
    const std::lock_guard lock(mutex);
    whole.push_back(request.target);
    return Echo(request);
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (const std::size_t size : {std::size_t{2}, std::size_t{3000000}}) {
    whole.clear();
    const std::string body = Noise(size);
    HttpRequest request = MakeRequest("PUT", server.Url("/first"), body);
    request.max_response = size;
    int calls = 0;
    request.before_end = [&] {
      calls++;
      Get(client.get(), server.Url("/second"));
    };
    EXPECT_EQ(AsText(Ask(client.get(), request).body), body);
    EXPECT_EQ(calls, 1);
    const std::lock_guard lock(mutex);
    EXPECT_EQ(whole, (std::vector<std::string>{"/second", "/first"}));
  }
}

TEST(Http, HeadHasTheHeadersOfABodyAndNoBody) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.headers = {{"ETag", "\"x\""}}, .body = std::string(2U << 20, 'x')};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (int i = 0; i < 2; i++) {
    const HttpResponse response = Ask(client.get(), MakeRequest("HEAD", server.Url("/x")));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.Header("content-length"), "2097152");
    EXPECT_EQ(response.Header("etag"), "\"x\"");
    EXPECT_TRUE(response.body.empty());
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, AnyStatusIsAnAnswerAndNoneIsFollowed) {
  const ScriptServer server([](const ScriptRequest& request) {
    const int status = std::stoi(request.target.substr(1));
    return ScriptReply{.status = status, .headers = {{"Location", "/200"}}, .body = "text"};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (const int status : {200, 206, 301, 307, 400, 401, 403, 404, 407, 409, 412, 417, 500, 503}) {
    const HttpResponse response =
        Ask(client.get(),
            MakeRequest("PUT", server.Url("/" + std::to_string(status)), "some body", {}));
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(AsText(response.body), "text");
  }
  EXPECT_EQ(server.requests().size(), 14U);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, HeadersAreFoundByNameTheFirstOfSeveral) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.headers = {{"X-Amz-Id", " a b "}, {"Same", "1"}, {"SAME", "2"}}};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  const HttpResponse response = Get(client.get(), server.Url("/"));
  EXPECT_EQ(response.Header("x-amz-id"), "a b");
  EXPECT_EQ(response.Header("same"), "1");
  EXPECT_EQ(response.Header("other"), "");
  for (const auto& [name, value] : response.headers) {
    EXPECT_EQ(name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), std::string::npos);
  }
}

TEST(Http, LargeBodiesBothWays) {
  const ScriptServer server(Echo);
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string body = Noise(kLarge);
  for (int i = 0; i < 2; i++) {
    HttpRequest request = MakeRequest("PUT", server.Url("/"), body);
    request.max_response = kLarge;
    const HttpResponse response = Ask(client.get(), request);
    EXPECT_TRUE(AsText(response.body) == body);
    EXPECT_TRUE(server.requests().back().body == body);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, ChunkedAnswersAreJoined) {
  const std::string body = Noise(100000);
  const ScriptServer server(
      [&](const ScriptRequest&) { return ScriptReply{.body = body, .is_chunked = true}; });
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (int i = 0; i < 2; i++) {
    EXPECT_TRUE(AsText(Get(client.get(), server.Url("/")).body) == body);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http, AnAnswerWithoutALengthEndsWithItsConnection) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.headers = {{"Connection", "close"}},
                       .body = "abc",
                       .has_length = false,
                       .end = ScriptEnd::kClose};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (int i = 1; i <= 2; i++) {
    EXPECT_EQ(AsText(Get(client.get(), server.Url("/")).body), "abc");
    EXPECT_EQ(server.connections(), i);
  }
}

TEST(Http, AContinueIsNeitherAwaitedNorTakenForTheAnswer) {
  const ScriptServer server([](const ScriptRequest&) {
    return ScriptReply{.head =
                           "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
                           "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nX-Late: 2\r\n\r\n"};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string body = Noise(3U << 20);  // libcurl would ask from 1 MB on
  const std::int64_t begin = SystemClock().MonotonicMillis();
  const HttpResponse response = Ask(client.get(), MakeRequest("PUT", server.Url("/"), body));
  EXPECT_LT(SystemClock().MonotonicMillis() - begin, 900);  // libcurl would wait a second
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.Header("x-late"), "2");
  EXPECT_EQ(response.Header("x-early"), "");
  EXPECT_EQ(server.requests()[0].Header("expect"), "");
}

// A server that refuses need not read what it refuses.
TEST(Http, AnAnswerBeforeTheEndOfTheBodyIsTheAnswer) {
  const ScriptServer server(
      [](const ScriptRequest&) {
        return ScriptReply{
            .status = 403, .headers = {{"Connection", "close"}}, .end = ScriptEnd::kHang};
      },
      {.on_head = [](const ScriptRequest&) { return ScriptBody{.read = 1000}; }});
  const std::unique_ptr<HttpClient> client = MakeClient();
  const std::string body = Noise(kLarge);
  EXPECT_EQ(Ask(client.get(), MakeRequest("PUT", server.Url("/"), body)).status, 403);
}

TEST(Http, EightThreadsEachGetTheirAnswersOnKeptConnections) {
  const ScriptServer server(Echo);
  const std::unique_ptr<HttpClient> client = MakeClient();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 25; k++) {
        const std::string body = std::to_string(i) + "/" + std::to_string(k);
        const HttpResponse response = Ask(client.get(), MakeRequest("PUT", server.Url("/"), body));
        EXPECT_EQ(AsText(response.body), body);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(server.requests().size(), 200U);
  EXPECT_LE(server.connections(), 8);
}

TEST(Http, NoMoreConnectionsThanAllowedTheOthersWait) {
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply{.delay_ms = 30}; });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connections = 2}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([&] {
      EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
      EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(server.requests().size(), 16U);
  EXPECT_LE(server.most_at_once(), 2);
  EXPECT_EQ(server.connections(), 2);
}

TEST(Http, OneClientSpeaksToSeveralServers) {
  const ScriptServer one([](const ScriptRequest&) { return ScriptReply{.body = "one"}; });
  const ScriptServer two([](const ScriptRequest&) { return ScriptReply{.body = "two"}; });
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connections = 1}));
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(AsText(Get(client.get(), one.Url("/")).body), "one");
    EXPECT_EQ(AsText(Get(client.get(), two.Url("/")).body), "two");
  }
}

TEST(Http, ABodyUpToTheLimitIsTakenALongerOneIsNot) {
  const ScriptServer server([](const ScriptRequest& request) {
    return ScriptReply{.body = Noise(70000), .is_chunked = request.target == "/chunked"};
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  int connections = 1;
  for (const char* const target : {"/plain", "/chunked"}) {
    HttpRequest request = MakeRequest("GET", server.Url(target));
    request.max_response = 70000;
    EXPECT_EQ(Ask(client.get(), request).body.size(), 70000U);
    EXPECT_EQ(server.connections(), connections);
    request.max_response = 69999;
    const Status status = Fail(client.get(), request);
    EXPECT_EQ(status.code(), Code::kLimit);
    EXPECT_TRUE(Has(status.message(), "longer than 69999 bytes")) << status.ToString();
    EXPECT_EQ(Get(client.get(), server.Url(target)).status, 200);
    EXPECT_EQ(server.connections(), ++connections);  // the rest of that body was not read
  }
}

TEST(Http, EndlessHeadersAreALimit) {
  const ScriptServer server([](const ScriptRequest&) {
    ScriptReply reply;
    for (int i = 0; i < 500; i++) {
      reply.headers.emplace_back("X-" + std::to_string(i), std::string(1000, 'x'));
    }
    return reply;
  });
  const std::unique_ptr<HttpClient> client = MakeClient();
  const Status status = Fail(client.get(), MakeRequest("GET", server.Url("/")));
  EXPECT_TRUE(status.code() == Code::kLimit || status.code() == Code::kUnavailable)
      << status.ToString();
}

TEST(Http, OptionsThatCannotWorkAreRefused) {
  for (const HttpOptions& options :
       {WithLimits({.connect_ms = 0}), WithLimits({.idle_ms = -1}),
        WithLimits({.request_ms = std::int64_t{1} << 40}), WithLimits({.connections = 0}),
        WithCa("/no/such/file"), WithProxy("ftp://h:1"), WithProxy("http://user:secret@:x:")}) {
    const Status status = HttpClient::Create(options).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.ToString();
    EXPECT_FALSE(Has(status.ToString(), "secret"));
  }
}

TEST(Http, AddressesThatAreNoneAreRefused) {
  const std::unique_ptr<HttpClient> client = MakeClient();
  for (const char* const url :
       {"", "h/x", "ftp://h/x", "file:///etc/passwd", "http://", "http://user:secret@h/",
        "http://h:99999/", "http://h/a b", "http://h/#x"}) {
    const Status status = Fail(client.get(), MakeRequest("GET", url));
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << url << ": " << status.ToString();
    EXPECT_FALSE(Has(status.ToString(), "secret"));
  }
}

}  // namespace

}  // namespace pitr
