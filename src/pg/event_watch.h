// What the launcher tells by events (events.h): states that turned bad and stayed so for a moment, their ends, operations that failed.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/repo/identity.h"
#include "pg/events.h"

namespace pitr::pg {

class EventWatch {
 public:
  EventWatch();
  // Each second, with or without a repository. `branch`: the name that this server's branch had last; empty: not known. THROWS ErrorInFlight.
  void Tick(const std::string& branch);
  void End() { sender_.End(); }

 private:
  struct State {
    const char *bad, *good, *severity;
    Status (*check)();
    std::int64_t since_ms = 0;  // 0: all is well
    bool is_told = false;
  };
  void Look(State* state, const std::string& branch);
  void LookAtOperations();

  std::vector<State> states_;
  std::set<std::string> ended_;  // operations that were told of, or had ended before
  bool has_looked_ = false;
  EventSender sender_;
};

}  // namespace pitr::pg
