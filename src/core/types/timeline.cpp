// Timeline history files, read as readTimeLineHistory does (timeline.c, 15), but refusing what it would
// take for an open end.
//
// The switch points of a file need not ascend. A server that recovers along timeline 2 and stops before
// timeline 2 began (an earlier point on 1) writes the parent "2" with that earlier LSN, below the line
// "1" that it copied (writeTimeLineHistory with recoveryTargetTLI, xlog.c, 15). The newest entry wins:
// timeline 2 then has no WAL on this line at all, and 1 ends earlier than its own line says.
#include "core/types/timeline.h"

#include <algorithm>
#include <charconv>

namespace pitr {

namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";

void SkipBlanks(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(kBlanks), text->size()));
}

// "<tli> <LSN>[ <reason>]"; the caller has skipped leading blanks.
bool ParseLine(std::string_view line, TimelineSwitch* out) {
  const auto number = std::from_chars(line.data(), line.data() + line.size(), out->timeline);
  if (number.ec != std::errc()) {
    return false;
  }
  line.remove_prefix(static_cast<std::size_t>(number.ptr - line.data()));
  const std::size_t size_before = line.size();
  SkipBlanks(&line);
  if (line.size() == size_before) {
    return false;
  }
  const Result<Lsn> lsn = Lsn::Parse(line.substr(0, line.find_first_of(kBlanks)));
  if (!lsn.ok() || !lsn->valid()) {
    return false;
  }
  out->end = *lsn;
  return true;
}

Status Corrupt(TimelineId timeline, std::string_view why, std::string_view line) {
  std::string message = "history of timeline " + std::to_string(timeline) + " ";
  message.append(why);
  if (!line.empty()) {
    message.append(": \"").append(line.substr(0, 100)).append("\"");
  }
  return Status(Code::kCorrupt, std::move(message));
}

// Where ancestors[index] really ends on this line: no later than any switch after it.
Lsn EffectiveEnd(const std::vector<TimelineSwitch>& ancestors, std::size_t index) {
  Lsn end = ancestors[index].end;
  for (std::size_t later = index + 1; later < ancestors.size(); later++) {
    end = std::min(end, ancestors[later].end);
  }
  return end;
}

}  // namespace

TimelineId TimelineHistory::TimelineAt(Lsn lsn) const {
  // The first ancestor that still holds the LSN after all later switches are taken into account: going
  // from the newest back while the LSN lies before the switch.
  TimelineId found = timeline;
  for (std::size_t index = ancestors.size(); index > 0 && lsn < ancestors[index - 1].end; index--) {
    found = ancestors[index - 1].timeline;
  }
  return found;
}

bool TimelineHistory::RangeOf(TimelineId tli, Lsn* begin, Lsn* end) const {
  Lsn previous_end;
  for (std::size_t index = 0; index < ancestors.size(); index++) {
    const Lsn this_end = EffectiveEnd(ancestors, index);
    if (ancestors[index].timeline == tli) {
      *begin = previous_end;
      *end = this_end;
      return true;
    }
    previous_end = this_end;
  }
  if (tli != timeline) {
    return false;
  }
  *begin = previous_end;
  *end = Lsn();
  return true;
}

Result<TimelineHistory> TimelineHistory::Parse(TimelineId timeline, std::string_view text) {
  TimelineHistory history;
  history.timeline = timeline;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    SkipBlanks(&line);
    if (line.empty() || line[0] == '#') {
      continue;
    }
    TimelineSwitch entry;
    if (!ParseLine(line, &entry)) {
      return Corrupt(timeline, "has a malformed line", line);
    }
    const TimelineId previous = history.ancestors.empty() ? 0 : history.ancestors.back().timeline;
    if (entry.timeline <= previous || entry.timeline >= timeline) {
      return Corrupt(timeline, "has timelines that do not ascend", line);
    }
    history.ancestors.push_back(entry);
  }
  if (timeline > 1 && history.ancestors.empty()) {
    return Corrupt(timeline, "names no ancestor", "");
  }
  return history;
}

}  // namespace pitr
