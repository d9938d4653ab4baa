// The sockets that libcurl has open for one connection, for the unit of http_connection.h: several while addresses are tried
// side by side, else one. What libcurl itself does not tell of them.
#pragma once

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace pitr {

class OpenSockets {
 public:
  OpenSockets() { sockets_.fill(kNone); }

  // -1 when the system refuses. Programs that the server or `pitr` start must not hold our connections open.
  int Open(int family, int type, int protocol) {
    const int socket = ::socket(family, type | SOCK_CLOEXEC, protocol);
    const auto free = std::find(sockets_.begin(), sockets_.end(), kNone);
    if (free != sockets_.end()) {
      *free = socket;
    }
    return socket;
  }
  int Close(int socket) {
    std::replace(sockets_.begin(), sockets_.end(), socket, kNone);
    return ::close(socket);
  }

  // False when one of them has something to read, or its end.
  bool AreQuiet() const {
    return std::all_of(sockets_.begin(), sockets_.end(), [](int socket) {
      pollfd ready = {socket, POLLIN | POLLRDHUP, 0};
      return socket == kNone || ::poll(&ready, 1, 0) == 0;
    });
  }

  // What comes in is acknowledged when it comes, for as long as the kernel likes: a server that sends an answer in small pieces (radosgw, as
  // it is by default) holds each back until the one before was acknowledged, which else happens 40 ms later (tcp(7), TCP_QUICKACK).
  void AcknowledgeAtOnce() const {
    const int on = 1;
    for (const int socket : sockets_) {
      if (socket != kNone) {
        (void)::setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
      }
    }
  }

  // Bytes written that the other side has not taken yet.
  std::int64_t Unsent() const {
    std::int64_t sum = 0;
    for (const int socket : sockets_) {
      int unsent = 0;
      if (socket != kNone && ::ioctl(socket, SIOCOUTQ, &unsent) == 0) {
        sum += unsent;
      }
    }
    return sum;
  }

 private:
  static constexpr int kNone = -1;
  std::array<int, 8> sockets_;
};

}  // namespace pitr
