#include "core/work/branch_ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "core/base/file.h"
#include "core/work/socket_lock.h"

namespace pitr {

namespace {

constexpr int kMostPort = 65535;

Status Wrong(std::size_t position) {
  return Status(Code::kInvalidArgument,
                "port or range of ports expected at position " + std::to_string(position + 1));
}

// Takes a port off the front of `text`.
bool TakePort(std::string_view* text, int* port) {
  const char* begin = text->data();
  const auto parsed = std::from_chars(begin, begin + text->size(), *port);
  if (parsed.ec != std::errc() || *port < 1 || *port > kMostPort) {
    return false;
  }
  text->remove_prefix(static_cast<std::size_t>(parsed.ptr - begin));
  return true;
}

void SkipBlanks(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(" \t"), text->size()));
}

// A listener on one of this machine's addresses is enough to be in the way. As the postmaster, not disturbed by connections of one that has ended.
bool CanListen(int family, const sockaddr* address, socklen_t size) {
  const File probe(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe.is_open()) {
    return true;  // a machine without that family
  }
  const int yes = 1;
  (void)::setsockopt(probe.fd(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (family == AF_INET6) {
    (void)::setsockopt(probe.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  }
  return (::bind(probe.fd(), address, size) == 0 && ::listen(probe.fd(), 1) == 0) ||
         errno != EADDRINUSE;
}

}  // namespace

Result<std::vector<PortRange>> ParsePortRanges(std::string_view text) {
  const std::size_t size = text.size();
  std::vector<PortRange> ranges;
  for (;;) {
    SkipBlanks(&text);
    PortRange range;
    if (!TakePort(&text, &range.first)) {
      return Wrong(size - text.size());
    }
    range.last = range.first;
    SkipBlanks(&text);
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      SkipBlanks(&text);
      const std::size_t position = size - text.size();
      if (!TakePort(&text, &range.last) || range.last < range.first) {
        return Wrong(position);
      }
      SkipBlanks(&text);
    }
    ranges.push_back(range);
    if (text.empty()) {
      return ranges;
    }
    if (!text.starts_with(',')) {
      return Wrong(size - text.size());
    }
    text.remove_prefix(1);
  }
}

Result<int> ChoosePort(const std::vector<PortRange>& ranges, const std::set<int>& taken,
                       const std::function<bool(int)>& is_free) {
  for (const PortRange& range : ranges) {
    for (int port = range.first; port <= range.last; port++) {
      if (!taken.contains(port) && is_free(port)) {
        return port;
      }
    }
  }
  return Status(Code::kLimit, "all ports of pitr.branch_ports are in use")
      .WithHint("Delete branches that are not needed any more, or raise pitr.branch_ports.");
}

bool IsPortFree(int port, const std::vector<std::string>& socket_directories) {
  for (const std::string& directory : socket_directories) {
    // What a killed server left there is in nobody's way.
    if (!IsAbstractSocket(directory) && IsSocketTaken(SocketPath(directory, port))) {
      return false;
    }
  }
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(static_cast<std::uint16_t>(port));
  four.sin_addr.s_addr = htonl(INADDR_ANY);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = four.sin_port;
  six.sin6_addr = in6addr_any;
  return CanListen(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof four) &&
         CanListen(AF_INET6, reinterpret_cast<const sockaddr*>(&six), sizeof six);
}

}  // namespace pitr
