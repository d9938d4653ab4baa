// Holds the port and the sockets of a server that does not run: whoever connects hears that it is starting, and that somebody wants it is
// what the owner is told. One thread, which polls; no client is waited for.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/result.h"

namespace pitr {

struct HeldPlace {
  std::string data_directory;
  int port = 0;
  std::string listen_addresses;  // as the setting
  std::vector<std::string> socket_directories;
  unsigned socket_mode = 0777;
  std::string socket_group;  // empty: the user's
};

class PortHolder {
 public:
  // Listens on all of them, or fails: kInUse when somebody else does. An address that this machine does not have is left out.
  static Result<std::unique_ptr<PortHolder>> Take(const HeldPlace& place);
  // Nothing that is ours stays behind.
  ~PortHolder();
  PortHolder(const PortHolder&) = delete;
  PortHolder& operator=(const PortHolder&) = delete;

  // What to wait for, behind what is in it; and at most how long (-1: for ever).
  int Collect(std::vector<pollfd>* events) const;
  // Answers whoever has said enough. True when one of them wanted the server.
  bool Serve();

  // A server that is started now can take what is left: a postmaster replaces the sockets that its parent holds, but not a port that
  // somebody listens on.
  void MakeRoom();
  // It has. Nothing is removed any more.
  void GiveAway();

 private:
  struct Listener {
    File socket;
    std::string path;  // of a socket file; empty for TCP
    bool replaceable = false;
  };
  struct Client {
    File socket;
    std::string said;
    int refusals = 0;  // of encryption
    std::int64_t until_ms = 0;
  };
  enum class Outcome { kWaits, kOver, kWanted };

  PortHolder() = default;
  Status ListenOn(const HeldPlace& place, const std::string& address);
  Status ListenIn(const HeldPlace& place, const std::string& directory);
  void Accept(const Listener& listener);
  Outcome Attend(Client* client) const;
  Outcome Answer(Client* client) const;

  std::vector<Listener> listeners_;
  std::vector<Client> clients_;  // the oldest first
  std::int64_t paused_until_ms_ = 0;
};

}  // namespace pitr
