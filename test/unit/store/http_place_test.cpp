// Where requests go: TLS, proxies, name lookups; and what of the process is touched: signals, children.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "core/store/http.h"
#include "core/store/http_connection.h"
#include "unit/support/http_call.h"
#include "unit/support/script_server.h"
#include "unit/support/temp_dir.h"
#include "unit/support/test_certificate.h"

namespace {

std::atomic<int> g_lookups{0}, g_lookups_open_to_signals{0}, g_hanging{0};

}  // namespace

// Stands before the C library's for libcurl as well. Watches over the threads that look names up; "hang.invalid" takes
// longer than anybody waits, "here.invalid" is this machine.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  g_lookups++;
  if (::sigismember(&mask, SIGTERM) != 1 || ::sigismember(&mask, SIGUSR1) != 1) {
    g_lookups_open_to_signals++;
  }
  if (host != nullptr && std::string_view(host) == "hang.invalid") {
    g_hanging++;
    ::usleep(1500000);
    g_hanging--;
    return EAI_NONAME;
  }
  const bool is_here = host != nullptr && std::string_view(host) == "here.invalid";
  return next(is_here ? "127.0.0.1" : host, service, hints, result);
}

namespace pitr {

namespace {

ScriptReply Echo(const ScriptRequest& request) { return {.body = request.body}; }

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

// A TLS server, and the file with its authority.
class TlsServer {
 public:
  explicit TlsServer(ScriptServer::Handler handler = Echo,
                     const char* names = "IP:127.0.0.1,DNS:localhost")
      : certificate_(MakeTestCertificate(names)),
        server_(std::move(handler), {.certificate = certificate_}) {
    EXPECT_TRUE(WriteFileDurably(ca_file(), AsBytes(certificate_.ca)).ok());
  }
  std::string ca_file() const { return directory_ / "ca.pem"; }
  const ScriptServer& server() const { return server_; }

 private:
  TempDir directory_;
  TestCertificate certificate_;
  ScriptServer server_;
};

TEST(Http, AServerOfAnUnknownAuthorityIsRefused) {
  const TlsServer tls;
  const std::unique_ptr<HttpClient> client = MakeClient();
  const Status status =
      Fail(client.get(), MakeRequest("GET", tls.server().Url("/?signature=secret")));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Has(status.message(), "could not reach \"" + tls.server().Address() + "\": "))
      << status.ToString();
  EXPECT_TRUE(Has(status.message(), "certificate")) << status.ToString();
  EXPECT_TRUE(Has(status.hint(), "authority")) << status.ToString();
  EXPECT_FALSE(Has(status.ToString(), "secret"));
  EXPECT_TRUE(tls.server().requests().empty());
}

TEST(Http, TheCaFileMakesItKnown) {
  const TlsServer tls;
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  const std::string body = Noise(8U << 20);
  for (int i = 0; i < 3; i++) {
    HttpRequest request = MakeRequest("PUT", tls.server().Url("/"), body);
    request.max_response = body.size();
    EXPECT_TRUE(AsText(Ask(client.get(), request).body) == body);
  }
  EXPECT_EQ(tls.server().connections(), 1);
}

TEST(Http, TheCaFileReplacesTheSystemsAuthorities) {
  const TlsServer one, other;
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(other.ca_file()));
  EXPECT_EQ(Fail(client.get(), MakeRequest("GET", one.server().Url("/"))).code(),
            Code::kUnavailable);
}

TEST(Http, ACaFileWithoutACertificateIsUnavailableAndNamed) {
  const TlsServer tls;
  ASSERT_TRUE(WriteFileDurably(tls.ca_file(), AsBytes("nothing")).ok());
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  const Status status = Fail(client.get(), MakeRequest("GET", tls.server().Url("/")));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Has(status.message(), "could not reach")) << status.ToString();
}

TEST(Http, ACertificateOfAnotherHostIsRefused) {
  const TlsServer tls(Echo, "DNS:elsewhere.test");
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  const Status status = Fail(client.get(), MakeRequest("GET", tls.server().Url("/")));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Has(status.message(), "match")) << status.ToString();
  EXPECT_TRUE(tls.server().requests().empty());
}

TEST(Http, ATlsConnectionThatWasClosedMeanwhileIsReplaced) {
  const TlsServer tls(
      [](const ScriptRequest&) { return ScriptReply{.body = "x", .end = ScriptEnd::kClose}; });
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(Ask(client.get(), MakeRequest("POST", tls.server().Url("/"), "x")).status, 200);
    tls.server().AwaitNoneOpen();
  }
  EXPECT_EQ(tls.server().requests().size(), 4U);
}

TEST(Http, ATlsConnectionThatEndsUnderARequestIsReplacedOnce) {
  const TlsServer tls([](const ScriptRequest& request) {
    return request.target == "/first" || request.connection > 0
               ? ScriptReply{.body = "x"}
               : ScriptReply{.is_silent = true, .end = ScriptEnd::kReset};
  });
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  Get(client.get(), tls.server().Url("/first"));
  EXPECT_EQ(Get(client.get(), tls.server().Url("/")).status, 200);
  EXPECT_EQ(tls.server().requests().size(), 3U);
}

// Sets variables for one scope.
class Environment {
 public:
  explicit Environment(const std::string& value) {
    for (const char* const name : kNames) {
      ::setenv(name, value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const char* const name : kNames) {
      ::unsetenv(name);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static constexpr const char* kNames[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                           "ALL_PROXY"};
};

TEST(Http, ProxiesOfTheEnvironmentAreNotHeeded) {
  const ScriptServer proxy(Echo), server(Echo);
  const TlsServer tls;
  const Environment environment("http://" + proxy.Address());
  const std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
  EXPECT_EQ(Get(client.get(), tls.server().Url("/")).status, 200);
  EXPECT_EQ(proxy.connections(), 0);
}

TEST(Http, AProxyThatIsGivenIsUsedForEveryHost) {
  const ScriptServer proxy([](const ScriptRequest&) { return ScriptReply{.body = "proxied"}; });
  ::setenv("no_proxy", "*", 1);
  const std::unique_ptr<HttpClient> client = MakeClient(WithProxy("http://" + proxy.Address()));
  const std::string url = "http://bucket.invalid:81/a//b/../c%2f?x=%7e";
  EXPECT_EQ(AsText(Get(client.get(), url).body), "proxied");
  EXPECT_EQ(AsText(Get(client.get(), url).body), "proxied");
  ::unsetenv("no_proxy");
  EXPECT_EQ(proxy.requests()[0].target, url);
  EXPECT_EQ(proxy.requests()[0].Header("host"), "bucket.invalid:81");
  EXPECT_EQ(proxy.connections(), 1);
}

TEST(Http, AProxyThatRefusesTheTunnelIsUnavailable) {
  const ScriptServer proxy([](const ScriptRequest&) { return ScriptReply{.status = 403}; });
  const std::unique_ptr<HttpClient> client = MakeClient(WithProxy("http://" + proxy.Address()));
  const Status status =
      Fail(client.get(), MakeRequest("GET", "https://bucket.invalid/x?signature=secret", "",
                                     {{"Authorization", "secret"}}));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Has(status.message(), "could not reach \"bucket.invalid:443\"")) << status.ToString();
  ASSERT_EQ(proxy.requests().size(), 1U);
  EXPECT_EQ(proxy.requests()[0].method, "CONNECT");
  EXPECT_EQ(proxy.requests()[0].Header("authorization"), "");
  EXPECT_FALSE(Has(status.ToString(), "secret"));
}

TEST(Http, ServersAreNamedByHostAndPort) {
  EXPECT_EQ(*ServerOfUrl("http://h/x"), "h:80");
  EXPECT_EQ(*ServerOfUrl("https://h.example?x"), "h.example:443");
  EXPECT_EQ(*ServerOfUrl("http://[::1]:9000/"), "[::1]:9000");
  EXPECT_EQ(ServerOfUrl("http://u:p@h/").status().code(), Code::kInvalidArgument);
}

TEST(Http, ThreadsThatLookUpNamesTakeNoSignals) {
  const ScriptServer server(Echo);
  const std::unique_ptr<HttpClient> client = MakeClient();
  const int before = g_lookups;
  const HttpResponse response =
      Get(client.get(), "http://here.invalid:" + std::to_string(server.port()) + "/");
  EXPECT_EQ(response.status, 200);
  EXPECT_GT(g_lookups, before);
  EXPECT_EQ(g_lookups_open_to_signals, 0);
}

TEST(Http, ANameThatIsNotFoundIsUnavailable) {
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connect_ms = 5000}));
  const Status status =
      Fail(client.get(), MakeRequest("GET", "http://no-such-host.invalid/?x=secret"));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Has(status.message(), "could not reach \"no-such-host.invalid:80\": "))
      << status.ToString();
  EXPECT_FALSE(Has(status.ToString(), "secret"));
}

TEST(Http, ALookupThatHangsEndsAtItsLimitAndByACancel) {
  const std::unique_ptr<HttpClient> client = MakeClient(WithLimits({.connect_ms = 200}));
  const HttpRequest request = MakeRequest("GET", "http://hang.invalid/");
  std::int64_t begin = Now();
  const Status status = Fail(client.get(), request);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Has(status.message(), "no connection within 200 ms")) << status.ToString();
  EXPECT_LT(Now() - begin, 1200);

  const std::unique_ptr<HttpClient> patient = MakeClient();
  CancelScope cancel;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    cancel.Set();
  });
  begin = Now();
  EXPECT_EQ(Fail(patient.get(), request).code(), Code::kCancelled);
  EXPECT_LT(Now() - begin, 1200);
  other.join();
  while (g_hanging > 0) {  // what those threads hold would be reported as a leak
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

std::atomic<int> g_signals{0};

TEST(Http, SignalsArriveWhileARequestWaitsAndTheMaskIsAsBefore) {
  g_signals = 0;
  struct sigaction action = {}, old_action = {};
  action.sa_handler = [](int) { g_signals++; };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &old_action), 0);
  const ScriptServer server([](const ScriptRequest&) { return ScriptReply{.delay_ms = 500}; });
  const std::unique_ptr<HttpClient> client = MakeClient();
  const pthread_t self = ::pthread_self();
  std::int64_t sent = 0, seen = 0;
  std::thread other([&] {
    while (server.requests().empty()) {
      std::this_thread::yield();
    }
    sent = Now();
    ::pthread_kill(self, SIGUSR1);
    while (g_signals == 0 && Now() - sent < 5000) {
      std::this_thread::yield();
    }
    seen = Now();
  });
  EXPECT_EQ(Get(client.get(), server.Url("/")).status, 200);
  other.join();
  EXPECT_EQ(g_signals, 1);
  EXPECT_LT(seen - sent, 300);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGUSR1), 0);
  EXPECT_EQ(::sigismember(&mask, SIGPIPE), 0);
  ::sigaction(SIGUSR1, &old_action, nullptr);
}

// Runs `body` in a child; true when it says so. Nothing of the parent's is destroyed there.
// A good one is killed: at an exit valgrind would call lost what stands on the stacks of the server's threads, which the child has not.
bool InChild(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (body()) ::raise(SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST(Http, AChildHasConnectionsOfItsOwnAndLeavesItsParentsAlone) {
  const TlsServer tls([](const ScriptRequest& request) {
    return ScriptReply{.body = std::to_string(request.connection)};
  });
  std::unique_ptr<HttpClient> client = MakeClient(WithCa(tls.ca_file()));
  const HttpRequest request = MakeRequest("GET", tls.server().Url("/"));
  EXPECT_EQ(AsText(Ask(client.get(), request).body), "0");
  EXPECT_TRUE(InChild([&] {
    for (int i = 0; i < 2; i++) {
      Result<HttpResponse> response = client->Perform(request);
      if (!response.ok() || AsText(response->body) != "1") {
        return false;
      }
    }
    client.reset();
    return true;
  }));
  EXPECT_TRUE(InChild([&] {
    client.reset();  // unused by it: not a word on what it inherited
    return true;
  }));
  EXPECT_EQ(AsText(Ask(client.get(), request).body), "0");
  EXPECT_EQ(tls.server().connections(), 2);
}

// A program that the server starts must not inherit its connections.
TEST(Http, ConnectionsAreClosedAtExec) {
  const ScriptServer server(Echo);
  const std::unique_ptr<HttpClient> client = MakeClient();
  Get(client.get(), server.Url("/"));
  int found = 0;
  for (int fd = 0; fd < 1024; fd++) {
    sockaddr_in peer = {};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
        peer.sin_family == AF_INET && ::ntohs(peer.sin_port) == server.port()) {
      found++;
      EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    }
  }
  EXPECT_EQ(found, 1);
}

}  // namespace

}  // namespace pitr
