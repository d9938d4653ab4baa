// Telling somebody what happens: pitr.event_command gets each event on its standard input, sessions that LISTEN on pitr_events get it by NOTIFY.
//
// Everything may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <deque>
#include <string>

#include "core/base/command.h"
#include "core/base/status.h"

namespace pitr::pg {

struct Event {
  std::string event;     // archive_failing
  std::string branch;    // empty: not of one
  std::string severity;  // info, warning, error
  std::string message, hint, operation_id;
};

// Belongs to the launcher.
class EventSender {
 public:
  void Send(const Event& event);
  // Each second: commands that end or begin, the worker that notifies.
  void Tick();
  // The process ends.
  void End() { command_.End(); }

 private:
  void RunCommands();
  void Notify();

  std::deque<std::string> for_command_;  // JSON
  BackgroundCommand command_;
  std::int64_t next_worker_ms_ = 0;
  std::uint64_t asked_for_ = 0;  // how far the worker that was started last was to get
};

}  // namespace pitr::pg
