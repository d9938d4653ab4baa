// Names of files in pg_wal, composed and parsed, aware of the segment size.
// src/include/access/xlog_internal.h (15): XLogFileName, TLHistoryFileName, BackupHistoryFileName.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/types/lsn.h"

namespace pitr {

struct SegmentId {
  TimelineId timeline = 0;
  std::uint64_t number = 0;  // start LSN / segment size
  friend auto operator<=>(const SegmentId&, const SegmentId&) = default;
};

// 1 MiB .. 1 GiB, a power of two.
bool IsValidSegmentSize(std::uint64_t segment_size);

std::string SegmentName(SegmentId segment, std::uint64_t segment_size);
inline Lsn SegmentStart(std::uint64_t number, std::uint64_t segment_size) {
  return {number * segment_size};
}
inline std::uint64_t SegmentNumberOf(Lsn lsn, std::uint64_t segment_size) {
  return lsn.value / segment_size;
}
std::string HistoryName(TimelineId timeline);  // 00000002.history

enum class WalFileKind { kSegment, kPartial, kHistory, kBackupLabel };

struct WalFileName {
  WalFileKind kind;
  TimelineId timeline = 0;
  std::uint64_t segment = 0;        // not for kHistory
  std::uint32_t backup_offset = 0;  // kBackupLabel only
};

// The names that the server archives: 24 hex digits, the same with ".partial", "TTTTTTTT.history",
// "<segment>.XXXXXXXX.backup"; upper-case hex only. nullopt for anything else.
std::optional<WalFileName> ParseWalFileName(std::string_view name, std::uint64_t segment_size);

}  // namespace pitr
