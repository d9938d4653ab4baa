// pg_control: any bytes, and the same with the checksum put right so that what lies behind it is reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/base/hash.h"
#include "core/work/control_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)pitr::ParseControlFile({data, size});
  for (const std::size_t at : {288U, 292U}) {
    if (size >= at + 4) {
      pitr::Bytes bytes(data, data + size);
      const std::uint32_t crc =
          pitr::Crc32cFin(pitr::Crc32cComp(pitr::kCrc32cInit, pitr::ByteView(bytes).first(at)));
      for (std::size_t i = 0; i < 4; i++) {
        bytes[at + i] = static_cast<std::uint8_t>(crc >> (8 * i));
      }
      (void)pitr::ParseControlFile(bytes);
    }
  }
  return 0;
}
