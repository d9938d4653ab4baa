// One record without its CRC: byte 0 chooses the major, 1 the resource manager, 2 the info, 3 how many bytes were cut off
// (in units of 16); the rest stands behind the fixed header.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/wal/record.h"
#include "core/wal/record_facts.h"

namespace {

using namespace pitr;
using namespace pitr::wal;

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) {
    return 0;
  }
  Bytes bytes(record::kHeader, 0);
  bytes.insert(bytes.end(), data + 4, data + size);
  RawRecord raw;
  raw.start = {std::uint64_t{1} << 24};
  raw.end = {raw.start.value + Align8(bytes.size())};
  raw.header.total_length = static_cast<std::uint32_t>(bytes.size()) + data[3] * 16U;
  raw.header.xid = 700;
  raw.header.resource_manager = data[1];
  raw.header.info = data[2];
  raw.bytes = bytes;

  RecordBody body;
  if (!DecodeBody(bytes, raw.header.total_length, &body)) {
    return 0;
  }
  Require(body.block_count <= body.blocks.size());
  if (!body.main_data.empty()) {
    Require(body.main_data.data() >= bytes.data() + record::kHeader);
    Require(body.main_data.data() + body.main_data.size() == bytes.data() + bytes.size());
  }
  SegmentIndex index;
  index.root = {1, 15U + data[0] % 4, 16U << 20};
  index.segment = {1, 1};
  if (!AddFacts(raw, body, &index)) {
    Require(index.records == 0 && index.events.empty() && index.relation_drops.empty());
    return 0;
  }
  Require(index.records == 1 && index.last_start == raw.start);
  const Bytes encoded = EncodeIndex(index);
  const auto decoded = DecodeIndex(encoded);
  Require(decoded.ok() && EncodeIndex(*decoded) == encoded);
  return 0;
}
