// A replication connection to this server over libpq, which nothing here waits for: its socket is for the caller to wait on.
//
// libpq itself and not the server's own libpqwalreceiver: libpq raises no PostgreSQL errors and allocates nothing of the
// server's, so it is called from C++ like any C library, and its interface is the same for 15 to 18. The functions of
// libpqwalreceiver raise, wait and process interrupts inside, and have other signatures in each major. A child program
// would be one process more that can be lost, and would need a channel of its own for what is durable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/types/lsn.h"

struct pg_conn;

namespace pitr::pg {

struct ReplicationTarget {
  std::string host;  // directory of a socket (or @name), or an address
  int port = 0;
  std::string user;
};

class ReplicationClient {
 public:
  ReplicationClient() = default;
  ~ReplicationClient();
  ReplicationClient(const ReplicationClient&) = delete;
  ReplicationClient& operator=(const ReplicationClient&) = delete;

  // Begins to connect, to be sent WAL from `from` on. REQUIRES: !is_open().
  Status Begin(const ReplicationTarget& target, Lsn from);
  // Tells the server, so that it need not find out. IDEMPOTENT.
  void Close();
  bool is_open() const { return connection_ != nullptr; }
  bool is_streaming() const { return state_ == State::kStreaming; }

  // Does what can be done now. After a failure: Close().
  Status Advance();
  // Of the server's process; 0 before it is known.
  int sender_pid() const;
  // What was sent so far ends there. The data itself is dropped: it is read from pg_wal by whoever ships it.
  Lsn received() const { return received_; }

  // Everything before `durable` is. REQUIRES: is_streaming(). False: not said, there is no room in the socket.
  bool Confirm(Lsn durable);
  bool is_reply_wanted() const { return is_reply_wanted_; }

  // What to wait for before Advance() is of use again.
  int socket() const;
  bool wants_to_write() const { return wants_to_write_; }

 private:
  enum class State { kClosed, kConnecting, kStarting, kStreaming };

  Status AdvanceConnecting();
  Status AdvanceStarting();
  Status AdvanceStreaming();
  Status StreamEnded();
  Status Flush();
  Status Failed(const char* what) const;

  pg_conn* connection_ = nullptr;  // owned
  State state_ = State::kClosed;
  Lsn from_, received_;
  bool is_reply_wanted_ = false;
  bool wants_to_write_ = false;
};

}  // namespace pitr::pg
