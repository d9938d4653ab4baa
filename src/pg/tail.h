// Bringing what the server has flushed into the repository, and knowing how far it is there: for the tail shipper, and for the
// launcher where there is none.
//
// Everything may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/repo/tail.h"
#include "core/work/flush_times.h"
#include "pg/archive_ship.h"

namespace pitr::pg {

class Tail {
 public:
  explicit Tail(const CancelToken* cancel) : shipper_(cancel) {}

  enum class Reach {
    kFinishedSegments,  // only look how far those are; nothing is asked of the repository
    kFlushed,           // ship the flushed part of the open segment; finished ones are for others
    kEverything,        // finished segments that wait as well, for somebody who waits for it
  };
  // Looks where the server is, and notes it for the age of what is not durable. False when nothing is left to be shipped: then
  // nothing was asked of the repository.
  bool IsBehind(Reach reach);
  // kNotReady: another process is at a file that is needed, or a file changed under our hands; soon again. After any failure:
  // Close().
  Status Ship(Reach reach);
  // What was replaced is removed, where that can be done at the cost of a look-up now and then.
  bool HasReplaceable() const { return writer_.has_value() && writer_->has_replaceable(); }
  Status RemoveReplaced();
  // Everything before it is in the repository.
  Lsn durable() const { return durable_; }
  // Opened anew next time: the folder may be another one by then.
  void Close();

 private:
  struct Position {
    Lsn flushed;
    TimelineId timeline = 0;
    Timestamp at;
  };
  static Position LookAtServer();
  Status Open();
  Status ShipPiece(const Position& position);
  Status FinishSegment(SegmentId open);
  Result<Lsn> FirstWaiting(Lsn open_segment, Reach reach);
  void Advance(Lsn durable, Timestamp now);

  Shipper shipper_;
  std::optional<TailWriter> writer_;  // into the repository of shipper_
  int writer_opened_ = 0;             // which one
  std::uint64_t destination_ = 0;
  Lsn durable_;                  // everything before it is there
  std::set<std::string> whole_;  // segments that are there in pieces up to their end
  FlushTimes times_;
};

// A session waits for something that is not durable yet (RequestShip).
bool IsShipAsked();
// Ships everything and tells who waits. The Status is that of the attempt.
Status AnswerShipRequest(Tail* tail);

// From the tail shipper: makes itself known, until its end. False when another living process is it.
bool BecomeTailShipper();
bool HasTailShipper();
// Sets the latch of whoever answers ship requests.
void WakeTailShipper();

// Everything before it is in the repository, as far as anybody has said; invalid: not known.
Lsn ReadDurableLsn();

// For the views.
struct TailReport {
  Lsn durable;  // invalid: not known
  std::optional<Timestamp> advanced_at;
  // How long the oldest flushed byte that is not durable has been so; 0 when all is durable, nullopt when not known.
  std::optional<std::int64_t> behind_micros;
};
TailReport ReadTailReport(Timestamp now);

}  // namespace pitr::pg
