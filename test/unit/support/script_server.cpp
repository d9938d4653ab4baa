// Every wait of a thread is a poll over its socket and one descriptor that says stop, so that the end of a test is quick.
#include "unit/support/script_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/store/http_message.h"

namespace pitr {

namespace {

constexpr std::size_t kChunk = 1000;

int Listen(int backlog, int receive_buffer, int* port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (receive_buffer > 0) {  // inherited by what is accepted
    ::setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  EXPECT_EQ(::bind(listener, generic, size), 0);
  EXPECT_EQ(::listen(listener, backlog), 0);
  EXPECT_EQ(::getsockname(listener, generic, &size), 0);
  *port = ::ntohs(address.sin_port);
  return listener;
}

using SslContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Ssl = std::unique_ptr<SSL, decltype(&SSL_free)>;

SslContext MakeContext(const TestCertificate& texts) {
  SslContext context(nullptr, &SSL_CTX_free);
  if (texts.certificate.empty()) {
    return context;
  }
  context.reset(SSL_CTX_new(TLS_server_method()));
  BIO* const bio = BIO_new_mem_buf(texts.certificate.data(), -1);
  BIO* const key_bio = BIO_new_mem_buf(texts.key.data(), -1);
  X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key), 1);
  EVP_PKEY_free(key);
  X509_free(certificate);
  BIO_free(key_bio);
  BIO_free(bio);
  return context;
}

// An accepted connection, plain or TLS. Everything fails once `stop` can be read.
class Channel {
 public:
  Channel(int socket, int stop, SSL_CTX* context)
      : socket_(socket), stop_(stop), ssl_(nullptr, &SSL_free) {
    const int yes = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (context != nullptr) {
      ssl_.reset(SSL_new(context));
      SSL_set_fd(ssl_.get(), socket_);
    }
  }
  ~Channel() {
    if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get()) == 1 && !is_reset_) {
      SSL_shutdown(ssl_.get());
    }
    ::close(socket_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  bool Handshake() {
    return ssl_ == nullptr || Repeat([this] { return SSL_accept(ssl_.get()); }) == 1;
  }
  // 0: the end, or an error.
  std::size_t Read(char* out, std::size_t size) {
    const int got = Repeat([&] {
      return ssl_ != nullptr ? SSL_read(ssl_.get(), out, static_cast<int>(size))
                             : static_cast<int>(::recv(socket_, out, size, 0));
    });
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  bool Write(std::string_view text) {
    while (!text.empty()) {
      const int put = Repeat([&] {
        return ssl_ != nullptr
                   ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))
                   : static_cast<int>(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL));
      });
      if (put <= 0) {
        return false;
      }
      text.remove_prefix(static_cast<std::size_t>(put));
    }
    return true;
  }
  bool Sleep(int milliseconds) {
    pollfd stop = {stop_, POLLIN, 0};
    return milliseconds <= 0 || ::poll(&stop, 1, milliseconds) == 0;
  }
  void AwaitEnd() { Wait(POLLRDHUP); }
  void Reset() {
    const linger at_once = {1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    is_reset_ = true;
  }

 private:
  bool Wait(short events) {
    pollfd both[] = {{socket_, events, 0}, {stop_, POLLIN, 0}};
    while (::poll(both, 2, -1) < 0 && errno == EINTR) {
    }
    return both[1].revents == 0;
  }
  template <typename Call>
  int Repeat(Call call) {
    for (;;) {
      const int result = call();
      if (result > 0) {
        return result;
      }
      short events = 0;
      if (ssl_ != nullptr) {
        const int error = SSL_get_error(ssl_.get(), result);
        events = error == SSL_ERROR_WANT_READ    ? short{POLLIN}
                 : error == SSL_ERROR_WANT_WRITE ? short{POLLOUT}
                                                 : short{0};
      } else if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        events = POLLIN | POLLOUT;
        pollfd writable = {socket_, POLLOUT, 0};
        if (::poll(&writable, 1, 0) == 1) {
          events = POLLIN;  // it was a read
        }
      }
      if (events == 0 || !Wait(events)) {
        return -1;
      }
    }
  }

  const int socket_, stop_;
  Ssl ssl_;
  bool is_reset_ = false;
};

std::string HeadOf(const ScriptReply& reply) {
  if (!reply.head.empty()) {
    return reply.head;
  }
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Text\r\n";
  for (const auto& [name, value] : reply.headers) {
    head += name + ": " + value + "\r\n";
  }
  if (reply.is_chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (reply.has_length) {
    head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  }
  return head + "\r\n";
}

std::string BodyOf(const ScriptReply& reply) {
  if (!reply.is_chunked) {
    return reply.body;
  }
  std::string chunks;
  for (std::size_t at = 0; at < reply.body.size(); at += kChunk) {
    const std::string piece = reply.body.substr(at, kChunk);
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    chunks += size + piece + "\r\n";
  }
  return chunks + "0\r\n\r\n";
}

}  // namespace

std::string ScriptRequest::Header(std::string_view name) const {
  HttpResponse same;
  same.headers = headers;
  return same.Header(name);
}

class ScriptServer::Impl {
 public:
  Impl(Handler handler, ScriptOptions options)
      : handler_(std::move(handler)),
        options_(std::move(options)),
        context_(MakeContext(options_.certificate)),
        listener_(Listen(128, options_.receive_buffer, &port_)),
        stop_(::eventfd(0, EFD_CLOEXEC)) {
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~Impl() {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(stop_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    acceptor_.join();
    for (std::thread& thread : threads_) {  // no more are added
      thread.join();
    }
    ::close(listener_);
    ::close(stop_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  int port() const { return port_; }
  bool is_tls() const { return context_ != nullptr; }
  std::vector<ScriptRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  int connections() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }
  int most_at_once() const {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  int open() const {
    const std::lock_guard lock(mutex_);
    return open_;
  }

 private:
  void Accept() {
    for (;;) {
      pollfd both[] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
      ::poll(both, 2, -1);
      if (both[1].revents != 0) {
        return;
      }
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket < 0) {
        continue;
      }
      int number = 0;
      {
        const std::lock_guard lock(mutex_);
        number = accepted_++;
        most_ = std::max(most_, ++open_);
      }
      threads_.emplace_back([this, socket, number] {
        Serve(socket, number);
        const std::lock_guard lock(mutex_);
        open_--;
      });
    }
  }

  void Serve(int socket, int number) {
    sigset_t all;
    ::sigfillset(&all);  // SIGPIPE of TLS, and whatever tests send to the process
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    Channel channel(socket, stop_, context_.get());
    std::string unread;
    if (!channel.Handshake()) {
      return;
    }
    for (;;) {
      ScriptRequest request;
      request.connection = number;
      if (!ReadHead(&channel, &unread, &request)) {
        return;
      }
      std::size_t index = 0;
      {
        const std::lock_guard lock(mutex_);
        index = requests_.size();
        requests_.push_back(request);
      }
      const ScriptBody plan = options_.on_head ? options_.on_head(request) : ScriptBody();
      const bool is_read = ReadBody(&channel, &unread, plan, &request);
      {
        const std::lock_guard lock(mutex_);
        requests_[index] = request;
      }
      if (!is_read || !GoesOn(&channel, plan.end)) {
        return;
      }
      const ScriptReply reply = handler_(request);
      if (!Answer(&channel, request, reply) || !GoesOn(&channel, reply.end)) {
        return;
      }
    }
  }

  static bool GoesOn(Channel* channel, ScriptEnd end) {
    if (end == ScriptEnd::kReset) {
      channel->Reset();
    }
    if (end == ScriptEnd::kHang) {
      channel->AwaitEnd();
    }
    return end == ScriptEnd::kKeep;
  }

  static bool ReadHead(Channel* channel, std::string* unread, ScriptRequest* request) {
    std::size_t end = 0;
    while ((end = unread->find("\r\n\r\n")) == std::string::npos) {
      char buffer[4096];
      const std::size_t got = channel->Read(buffer, sizeof buffer);
      if (got == 0) {
        return false;
      }
      unread->append(buffer, got);
    }
    const std::string head = unread->substr(0, end + 2);
    unread->erase(0, end + 4);
    const std::size_t line = head.find("\r\n");
    const std::size_t first = head.find(' ');
    const std::size_t second = head.rfind(' ', line);
    request->method = head.substr(0, first);
    request->target = head.substr(first + 1, second - first - 1);
    HttpResponse parsed;
    for (std::size_t at = line + 2; at < head.size();) {
      const std::size_t next = head.find("\r\n", at);
      AddHeadLine(head.substr(at, next - at), &parsed);
      at = next + 2;
    }
    request->headers = parsed.headers;
    return true;
  }

  static bool ReadBody(Channel* channel, std::string* unread, const ScriptBody& plan,
                       ScriptRequest* request) {
    const std::size_t size = std::strtoull(request->Header("content-length").c_str(), nullptr, 10);
    const std::size_t wanted = std::min(size, plan.read);
    std::vector<char> buffer(plan.pace_bytes > 0 ? plan.pace_bytes : 65536);
    request->body = unread->substr(0, wanted);
    unread->erase(0, request->body.size());
    while (request->body.size() < wanted) {
      const std::size_t left = wanted - request->body.size();
      const std::size_t got = channel->Read(buffer.data(), std::min(left, buffer.size()));
      if (got == 0) {
        return false;
      }
      request->body.append(buffer.data(), got);
      if (plan.pace_ms > 0 && !channel->Sleep(plan.pace_ms)) {
        return false;
      }
    }
    return true;
  }

  static bool Answer(Channel* channel, const ScriptRequest& request, const ScriptReply& reply) {
    if (!channel->Sleep(reply.delay_ms)) {
      return false;
    }
    if (reply.is_silent) {
      return true;
    }
    const std::string body = request.method == "HEAD" ? "" : BodyOf(reply).substr(0, reply.cut_at);
    const std::string text = HeadOf(reply) + body;
    const std::size_t step = reply.pace_bytes > 0 ? reply.pace_bytes : text.size();
    for (std::size_t at = 0; at < text.size(); at += step) {
      if ((at > 0 && !channel->Sleep(reply.pace_ms)) || !channel->Write(text.substr(at, step))) {
        return false;
      }
    }
    return true;
  }

  const Handler handler_;
  const ScriptOptions options_;
  const SslContext context_;
  int port_ = 0;
  const int listener_, stop_;
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // the acceptor's until it has ended
  mutable std::mutex mutex_;
  std::vector<ScriptRequest> requests_;
  int accepted_ = 0, open_ = 0, most_ = 0;
};

ScriptServer::ScriptServer(Handler handler, ScriptOptions options)
    : impl_(std::make_unique<Impl>(std::move(handler), std::move(options))) {}
ScriptServer::~ScriptServer() = default;

int ScriptServer::port() const { return impl_->port(); }
std::string ScriptServer::Address() const { return "127.0.0.1:" + std::to_string(port()); }
std::string ScriptServer::Url(std::string_view target) const {
  return (impl_->is_tls() ? "https://" : "http://") + Address() + std::string(target);
}
std::vector<ScriptRequest> ScriptServer::requests() const { return impl_->requests(); }
int ScriptServer::connections() const { return impl_->connections(); }
int ScriptServer::most_at_once() const { return impl_->most_at_once(); }
void ScriptServer::AwaitNoneOpen() const {
  while (impl_->open() > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

FullPort::FullPort() {
  sockets_.push_back(Listen(0, 0, &port_));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port_));
  for (int i = 0; i < 4; i++) {  // a backlog of 0 holds one; the others are refused or wait
    sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int result =
        ::connect(sockets_.back(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    EXPECT_TRUE(result == 0 || errno == EINPROGRESS);
  }
}

FullPort::~FullPort() {
  for (const int socket : sockets_) {
    ::close(socket);
  }
}

}  // namespace pitr
