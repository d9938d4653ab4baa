#include "core/work/flush_times.h"

namespace pitr {

namespace {

// Looks a second apart for a quarter of an hour; a longer backlog makes them sparser, evenly.
constexpr std::size_t kMostLooks = 1024;

}  // namespace

void FlushTimes::Note(Lsn flushed, Timestamp now) {
  const std::size_t size = looks_.size();
  const bool is_close =
      size > 1 && looks_[size - 1].at.micros - looks_[size - 2].at.micros < spacing_;
  if (size > 0 && (looks_.back().flushed == flushed || is_close)) {
    looks_.back() = {flushed, now};
    return;
  }
  looks_.push_back({flushed, now});
  if (looks_.size() <= kMostLooks) {
    return;
  }
  std::deque<Look> fewer;
  for (std::size_t i = 0; i < looks_.size(); i += 2) {
    fewer.push_back(looks_[i]);
  }
  looks_ = std::move(fewer);
  const std::int64_t span = looks_.back().at.micros - looks_.front().at.micros;
  spacing_ = span / static_cast<std::int64_t>(looks_.size());
}

Timestamp FlushTimes::FlushedBy(Lsn durable) {
  while (looks_.size() > 1 && looks_[1].flushed <= durable) {
    looks_.pop_front();
  }
  if (looks_.size() == 1) {
    spacing_ = 0;
  }
  return looks_.front().at;
}

}  // namespace pitr
