// Names in pg_wal. The first byte chooses the segment size; what is accepted must be composed to the same
// text again.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/types/wal_name.h"

namespace {

std::string Compose(const pitr::WalFileName& name, std::uint64_t segment_size) {
  const std::string segment = pitr::SegmentName({name.timeline, name.segment}, segment_size);
  switch (name.kind) {
    case pitr::WalFileKind::kSegment:
      return segment;
    case pitr::WalFileKind::kPartial:
      return segment + ".partial";
    case pitr::WalFileKind::kHistory:
      return pitr::HistoryName(name.timeline);
    case pitr::WalFileKind::kBackupLabel:
      break;
  }
  char offset[16];
  std::snprintf(offset, sizeof offset, ".%08X", name.backup_offset);
  return segment + offset + ".backup";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::uint64_t segment_size = std::uint64_t{1} << (18 + data[0] % 15);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto name = pitr::ParseWalFileName(text, segment_size);
  if (name.has_value() &&
      (!pitr::IsValidSegmentSize(segment_size) || Compose(*name, segment_size) != text)) {
    std::abort();
  }
  return 0;
}
