// Composes and parses the names of files in pg_wal. Invariant: what is accepted is exactly what the
// server writes for this segment size, so that composing again gives the same text.
#include "core/types/wal_name.h"

#include <cstdio>

namespace pitr {

namespace {

constexpr std::size_t kSegmentNameSize = 24;  // XLOG_FNAME_LEN
constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kHistorySuffix = ".history";
constexpr std::string_view kBackupSuffix = ".backup";

// Segments per 4 GiB: the last eight digits of a name count below it.
std::uint64_t SegmentsPerXlogId(std::uint64_t segment_size) { return (1ULL << 32) / segment_size; }

// Eight upper-case hex digits at `offset`.
bool ParseWord(std::string_view name, std::size_t offset, std::uint32_t* out) {
  if (name.size() < offset + 8) {
    return false;
  }
  std::uint32_t value = 0;
  for (const char c : name.substr(offset, 8)) {
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value << 4 | static_cast<std::uint32_t>(c - 'A' + 10);
    } else {
      return false;
    }
  }
  *out = value;
  return true;
}

}  // namespace

bool IsValidSegmentSize(std::uint64_t segment_size) {
  return segment_size >= (1U << 20) && segment_size <= (1U << 30) &&
         (segment_size & (segment_size - 1)) == 0;
}

std::string SegmentName(SegmentId segment, std::uint64_t segment_size) {
  const std::uint64_t per_id = SegmentsPerXlogId(segment_size);
  char buffer[32];
  const int size = std::snprintf(buffer, sizeof buffer, "%08X%08X%08X", segment.timeline,
                                 static_cast<unsigned>(segment.number / per_id),
                                 static_cast<unsigned>(segment.number % per_id));
  return std::string(buffer, static_cast<std::size_t>(size));
}

std::string HistoryName(TimelineId timeline) {
  char buffer[16];
  const int size = std::snprintf(buffer, sizeof buffer, "%08X", timeline);
  return std::string(buffer, static_cast<std::size_t>(size)).append(kHistorySuffix);
}

std::optional<WalFileName> ParseWalFileName(std::string_view name, std::uint64_t segment_size) {
  WalFileName parsed = {};
  // Timeline 0 is the server's "none" and names no file.
  if (!IsValidSegmentSize(segment_size) || !ParseWord(name, 0, &parsed.timeline) ||
      parsed.timeline == 0) {
    return std::nullopt;
  }
  if (name.substr(8) == kHistorySuffix) {
    parsed.kind = WalFileKind::kHistory;
    return parsed;
  }

  std::uint32_t high = 0;
  std::uint32_t low = 0;
  const std::uint64_t per_id = SegmentsPerXlogId(segment_size);
  if (!ParseWord(name, 8, &high) || !ParseWord(name, 16, &low) || low >= per_id) {
    return std::nullopt;
  }
  parsed.segment = high * per_id + low;
  const std::string_view suffix = name.substr(kSegmentNameSize);
  if (suffix.empty()) {
    parsed.kind = WalFileKind::kSegment;
    return parsed;
  }
  if (suffix == kPartialSuffix) {
    parsed.kind = WalFileKind::kPartial;
    return parsed;
  }
  if (suffix.size() == 1 + 8 + kBackupSuffix.size() && suffix[0] == '.' &&
      ParseWord(suffix, 1, &parsed.backup_offset) && suffix.substr(9) == kBackupSuffix &&
      parsed.backup_offset < segment_size) {
    parsed.kind = WalFileKind::kBackupLabel;
    return parsed;
  }
  return std::nullopt;
}

}  // namespace pitr
