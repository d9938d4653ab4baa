// Pages of WAL. The first byte chooses: bit 0, CRCs are made right where records lie in one page, so that what stands
// behind the check is reached; bit 1, WAL of timeline 1 only is expected. Who wrote the WAL is taken from its first page.
// However the bytes arrive, the index must be the same, survive encoding, and name no more than a walk finds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/base/hash.h"
#include "core/wal/index.h"
#include "core/wal/layout.h"
#include "core/wal/reader.h"

namespace {

using namespace pitr;
using namespace pitr::wal;

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void MakeCrcsRight(Bytes* bytes) {
  for (std::size_t page = 0; page < bytes->size(); page += kPageSize) {
    const std::size_t end = std::min(page + kPageSize, bytes->size());
    std::size_t at = page + (page == 0 ? page::kLongHeader : page::kShortHeader);
    if (at >= end) {
      return;
    }
    if ((bytes->at(page + page::kInfo) & page::kFirstIsContinuation) != 0) {
      at = Align8(
          at + std::min<std::size_t>(Load32(bytes->data() + page + page::kRemaining), kPageSize));
    }
    while (at + record::kHeader <= end) {
      std::uint8_t* p = bytes->data() + at;
      const std::uint32_t total = Load32(p);
      if (total < record::kHeader || total > end - at) {
        break;
      }
      std::uint32_t crc = Crc32cComp(kCrc32cInit, {p + record::kHeader, total - record::kHeader});
      crc = Crc32cFin(Crc32cComp(crc, {p, record::kCrc}));
      std::copy_n(reinterpret_cast<const std::uint8_t*>(&crc), sizeof crc, p + record::kCrc);
      at = Align8(at + total);
    }
  }
}

Result<SegmentIndex> Build(const ExpectedWal& expected, ByteView bytes, std::size_t piece) {
  IndexBuilder builder(expected);
  while (!bytes.empty()) {
    const ByteView next = bytes.first(std::min(piece, bytes.size()));
    PITR_RETURN_IF_ERROR(builder.Add(next));
    bytes = bytes.subspan(next.size());
  }
  return builder.Finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + page::kLongHeader) {
    return 0;
  }
  Bytes bytes(data + 1, data + size);
  if ((data[0] & 1) != 0) {
    MakeCrcsRight(&bytes);
  }
  ExpectedWal expected;
  expected.root.server_major = MajorOfPageMagic(Load16(bytes.data()));
  expected.root.system_identifier = Load64(bytes.data() + page::kSystemIdentifier);
  expected.root.segment_size = Load32(bytes.data() + page::kSegmentSize);
  if (!IsValidSegmentSize(expected.root.segment_size)) {
    return 0;
  }
  const Lsn address{Load64(bytes.data() + page::kAddress)};
  expected.segment.number = SegmentNumberOf(address, expected.root.segment_size);
  expected.segment.timeline = (data[0] & 2) != 0 ? 1 : 0xFFFFFFFF;
  bytes.resize(std::min<std::size_t>(bytes.size(), expected.root.segment_size));

  const auto index = Build(expected, bytes, std::size_t{1} << 20);
  const auto in_pieces = Build(expected, bytes, 777);
  Require(index.ok() == in_pieces.ok());
  if (!index.ok()) {
    return 0;
  }
  const Bytes encoded = EncodeIndex(*index);
  Require(encoded == EncodeIndex(*in_pieces));
  const auto decoded = DecodeIndex(encoded);
  Require(decoded.ok() && EncodeIndex(*decoded) == encoded);

  std::uint64_t records = 0;
  const Lsn begin = SegmentStart(expected.segment.number, expected.root.segment_size);
  const auto end = WalkRecords(bytes, begin, expected.root, [&](const Record& record) {
    records++;
    for (const BlockRef& block : record.blocks) {
      // A record that only the index refuses (its own part makes no sense) is the last one that both see.
      Require(records > index->records || index->blocks.contains(block.relation));
    }
    return true;
  });
  // A walk that goes on where the index refused a record may come upon a foreign page.
  Require(end.ok() || index->partial);
  Require(records >= index->records);
  return 0;
}
