// The heartbeat of an idle server: a commit record, so that a time of the last minutes has a commit that it can be restored to
// and the restore window goes on. Off by default (pitr.heartbeat_interval).
#pragma once

#include <cstdint>

namespace pitr::pg {

class Heartbeat {
 public:
  // Commits an empty transaction when none was committed for the interval. Cheap; asked each second or so. REQUIRES: a
  // background worker that is registered with a database connection. THROWS: ErrorInFlight.
  void Tick(std::int64_t now_ms);

 private:
  bool WasThereACommit();

  std::uint64_t seen_xid_ = 0;
  std::int64_t last_commit_ms_ = -1;  // -1: not looked yet
  bool is_connected_ = false;
};

}  // namespace pitr::pg
