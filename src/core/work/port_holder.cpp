#include "core/work/port_holder.h"

#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/ascii.h"
#include "core/base/clock.h"
#include "core/work/client_opening.h"
#include "core/work/socket_lock.h"

namespace pitr {

namespace {

constexpr int kBacklog = 128;
constexpr std::size_t kMostClients = 100;
constexpr int kMostAccepts = 32;  // in one go: others of the owner's events wait
constexpr std::size_t kMostBytes = 16384;
constexpr int kMostRefusals = 2;             // one of TLS, one of GSSAPI
constexpr std::int64_t kPatienceMs = 10000;  // with a client that says nothing
constexpr std::int64_t kPauseMs = 100;       // when the machine has no descriptor left

std::int64_t Now() { return SystemClock().MonotonicMillis(); }

Status Failed(const char* what, const std::string& where) {
  const Status status = Status::FromErrno(errno, what + (" \"" + where + "\""));
  return errno == EADDRINUSE ? Status(Code::kInUse, status.message()) : status;
}

// As the postmaster (StreamServerPort).
Result<File> Listen(const addrinfo& address, const std::string& where) {
  File socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) {
    return Failed("make a socket for", where);
  }
  const int yes = 1;
  if (address.ai_family != AF_UNIX) {
    (void)::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  }
  if (address.ai_family == AF_INET6) {
    (void)::setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  }
  if (::bind(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    return Failed("listen on", where);
  }
  return ::listen(socket.fd(), kBacklog) == 0 ? Result<File>(std::move(socket))
                                              : Result<File>(Failed("listen on", where));
}

Status SetSocketAccess(const HeldPlace& place, const std::string& path) {
  if (!place.socket_group.empty()) {
    const group* found = ::getgrnam(place.socket_group.c_str());
    const auto id = found != nullptr ? found->gr_gid
                                     : static_cast<gid_t>(std::atol(place.socket_group.c_str()));
    if (::chown(path.c_str(), static_cast<uid_t>(-1), id) != 0) {
      return Failed("set the group of", path);
    }
  }
  return ::chmod(path.c_str(), place.socket_mode) == 0 ? Status::Ok()
                                                       : Failed("set the permissions of", path);
}

void Say(const File& socket, const std::string& text) {
  // What does not fit into an empty buffer is nothing that we say.
  (void)::send(socket.fd(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Result<std::unique_ptr<PortHolder>> PortHolder::Take(const HeldPlace& place) {
  std::unique_ptr<PortHolder> holder(new PortHolder);
  for (const std::string& address : SplitAtCommas(place.listen_addresses)) {
    PITR_RETURN_IF_ERROR(holder->ListenOn(place, address));
  }
  for (const std::string& directory : place.socket_directories) {
    PITR_RETURN_IF_ERROR(holder->ListenIn(place, directory));
  }
  if (holder->listeners_.empty()) {
    return Status(Code::kNotReady, "there is no address to listen on");
  }
  return holder;
}

PortHolder::~PortHolder() {
  for (const Listener& listener : listeners_) {
    if (!listener.path.empty()) {
      UnlockSocket(listener.path);
    }
  }
}

Status PortHolder::ListenOn(const HeldPlace& place, const std::string& address) {
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_flags = AI_PASSIVE;
  wanted.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(place.port);
  const int error =
      ::getaddrinfo(address == "*" ? nullptr : address.c_str(), port.c_str(), &wanted, &found);
  if (error != 0) {
    return Status::Ok();  // a server goes on without it as well
  }
  Status status;
  for (const addrinfo* each = found; each != nullptr && status.ok(); each = each->ai_next) {
    Result<File> socket = Listen(*each, address + ":" + port);
    if (socket.ok()) {
      listeners_.push_back({*std::move(socket), {}, false});
    } else if (socket.status().code() == Code::kInUse) {
      status = socket.status();
    }
  }
  ::freeaddrinfo(found);
  return status;
}

Status PortHolder::ListenIn(const HeldPlace& place, const std::string& directory) {
  const std::string path = SocketPath(directory, place.port);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path) {
    return Status(Code::kInvalidArgument, "the path of socket \"" + path + "\" is too long");
  }
  std::memcpy(name.sun_path, path.data(), path.size());
  addrinfo address{};
  address.ai_family = AF_UNIX;
  address.ai_addr = reinterpret_cast<sockaddr*>(&name);
  address.ai_addrlen = sizeof name;
  if (IsAbstractSocket(path)) {
    name.sun_path[0] = '\0';
    address.ai_addrlen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    PITR_ASSIGN_OR_RETURN(File socket, Listen(address, path));
    listeners_.push_back({std::move(socket), {}, false});
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(LockSocket(path, place.port, place.data_directory));
  // Ours from here on, whatever fails.
  listeners_.push_back({File(), path, true});
  ::unlink(path.c_str());
  PITR_ASSIGN_OR_RETURN(listeners_.back().socket, Listen(address, path));
  return SetSocketAccess(place, path);
}

int PortHolder::Collect(std::vector<pollfd>* events) const {
  const std::int64_t now = Now();
  std::int64_t wait = -1;
  const auto wake_at = [&](std::int64_t at) {
    const std::int64_t left = std::max<std::int64_t>(at - now, 0);
    wait = wait < 0 ? left : std::min(wait, left);
  };
  if (paused_until_ms_ > now) {
    wake_at(paused_until_ms_);
  } else {
    for (const Listener& listener : listeners_) {
      events->push_back({listener.socket.fd(), POLLIN, 0});
    }
  }
  for (const Client& client : clients_) {
    events->push_back({client.socket.fd(), POLLIN, 0});
    wake_at(client.until_ms);
  }
  return static_cast<int>(wait);
}

void PortHolder::Accept(const Listener& listener) {
  for (int i = 0; i < kMostAccepts; i++) {
    File socket(::accept4(listener.socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        paused_until_ms_ = Now() + kPauseMs;
      }
      return;
    }
    // Many who say nothing must not keep out one who does.
    if (clients_.size() >= kMostClients) {
      clients_.erase(clients_.begin());
    }
    clients_.push_back({std::move(socket), {}, 0, Now() + kPatienceMs});
  }
}

PortHolder::Outcome PortHolder::Answer(Client* client) const {
  for (;;) {
    const OpeningStep step = ReadOpening(client->said);
    switch (step.what) {
      case Opening::kIncomplete:
        return Outcome::kWaits;
      case Opening::kEncryption:
        if (client->refusals++ == kMostRefusals) {
          return Outcome::kOver;
        }
        Say(client->socket, "N");
        client->said.erase(0, step.bytes);
        break;
      case Opening::kTls:
        return Outcome::kWanted;
      case Opening::kStartup:
        Say(client->socket, FatalResponse("57P03", "branch is starting",
                                          "Nobody was connected for a while, so it was stopped. "
                                          "Try again in a moment."));
        return Outcome::kWanted;
      case Opening::kCancel:
      case Opening::kNonsense:
        return Outcome::kOver;
    }
  }
}

PortHolder::Outcome PortHolder::Attend(Client* client) const {
  char bytes[2048];
  const ssize_t count = ::recv(client->socket.fd(), bytes, sizeof bytes, MSG_DONTWAIT);
  if (count > 0) {
    client->said.append(bytes, static_cast<std::size_t>(count));
    return client->said.size() > kMostBytes ? Outcome::kOver : Answer(client);
  }
  const bool waits = count < 0 && (errno == EAGAIN || errno == EINTR) && client->until_ms > Now();
  if (waits) {
    return Outcome::kWaits;
  }
  // It insists on encryption, which we do not have: it wants the server all the same.
  return client->refusals > 0 ? Outcome::kWanted : Outcome::kOver;
}

bool PortHolder::Serve() {
  bool is_wanted = false;
  if (paused_until_ms_ <= Now()) {
    for (const Listener& listener : listeners_) {
      Accept(listener);
    }
  }
  std::erase_if(clients_, [&](Client& client) {
    const Outcome outcome = Attend(&client);
    is_wanted = is_wanted || outcome == Outcome::kWanted;
    return outcome != Outcome::kWaits;
  });
  return is_wanted;
}

void PortHolder::MakeRoom() {
  std::erase_if(listeners_, [](const Listener& listener) { return !listener.replaceable; });
}

void PortHolder::GiveAway() { listeners_.clear(); }

}  // namespace pitr
