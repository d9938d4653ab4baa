// Encoded indexes. The first byte chooses: 0, the rest is an object as it is; else the rest is the body of one, behind a head
// whose checksums fit (bits 1 and 2 of the byte: with head and tail fragment). What is accepted must be what a writer makes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/base/hash.h"
#include "core/wal/index.h"
#include "core/wal/index_body.h"

namespace {

using namespace pitr;
using namespace pitr::wal;

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void CheckObject(ByteView bytes) {
  const auto index = DecodeIndex(bytes);
  const auto head = DecodeIndexHead(bytes);
  if (!index.ok()) {
    return;
  }
  Require(head.ok() && head->counts == index->counts && head->segment == index->segment);
  const auto again = DecodeIndex(EncodeIndex(*index));
  Require(again.ok() && EncodeIndex(*again) == EncodeIndex(*index));
}

void CheckBody(std::uint8_t mode, ByteView body) {
  SegmentIndex index;
  index.root = {1, 15, 1U << 20};
  index.segment = {1, 5};
  index.head.present = (mode & 2) != 0;
  index.tail.present = (mode & 4) != 0;
  if (!ReadIndexBody(body, &index)) {
    return;
  }
  Bytes written;
  WriteIndexBody(index, &written);
  Require(written.size() == body.size() && std::equal(body.begin(), body.end(), written.begin()));
  const auto decoded = DecodeIndex(EncodeIndex(index));
  Require(decoded.ok());
  // Fragments from outside must not lead a join astray.
  SegmentIndex next = index;
  next.segment.number++;
  next.head_end = SegmentStart(next.segment.number, index.root.segment_size) + 48;
  SegmentIndex joined = index;
  if (JoinTail(&joined, {&next})) {
    Require(joined.records == index.records + 1 && !joined.tail.present);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const ByteView rest(data + 1, size - 1);
  if (data[0] == 0) {
    CheckObject(rest);
  } else {
    CheckBody(data[0], rest);
  }
  return 0;
}
