// Timeline history files. The first byte chooses the timeline; what is accepted is written again and must
// read the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/types/timeline.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto history = pitr::TimelineHistory::Parse(data[0], text);
  if (!history.ok()) {
    return 0;
  }
  std::string composed;
  for (const pitr::TimelineSwitch& entry : history->ancestors) {
    composed += std::to_string(entry.timeline) + "\t" + entry.end.ToString() + "\treason\n";
  }
  const auto again = pitr::TimelineHistory::Parse(data[0], composed);
  if (!again.ok() || again->ancestors.size() != history->ancestors.size()) {
    std::abort();
  }
  for (std::size_t i = 0; i < history->ancestors.size(); i++) {
    const pitr::TimelineSwitch& entry = history->ancestors[i];
    pitr::Lsn begin;
    pitr::Lsn end;
    if (again->ancestors[i].timeline != entry.timeline || again->ancestors[i].end != entry.end ||
        !history->RangeOf(entry.timeline, &begin, &end)) {
      std::abort();
    }
    // Where the timeline has WAL on the line, positions lead back to it.
    if (begin > end || (begin < end && history->TimelineAt(begin) != entry.timeline)) {
      std::abort();
    }
  }
  return 0;
}
