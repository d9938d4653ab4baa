// The bytes of an envelope around its payload: header, footer and table of frames, made and checked. Shared by
// the writer (envelope_write.cpp) and the readers (envelope.cpp). Byte tables: doc/repository-format.md 3.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/codec/envelope.h"

namespace pitr::envelope {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::uint8_t kCodecPlain = 0, kCodecZstd = 1;

// kCorrupt naming the object.
Status Damaged(const std::string& name, const std::string& why);
// The same for a checksum that differs, with both values in the detail.
Status CheckHash(const std::string& name, std::string_view what, std::uint64_t expected,
                 std::uint64_t found);

Bytes EncodeHead(const EnvelopeFooter& footer);
Bytes EncodeFoot(const EnvelopeFooter& footer);
// Checks the footer by itself and against the header that belongs to it; kUnsupported for a newer format. The
// sizes in it are then possible ones: they neither overflow when added nor ask for more frames than there are
// bytes.
Result<EnvelopeFooter> DecodeFoot(ByteView foot, const std::string& name, ObjectKind kind);
Status CheckHead(ByteView head, const EnvelopeFooter& footer, const std::string& name);

// Frame i holds the plain bytes from i * kEnvelopeFrameSize on.
struct Frame {
  std::uint32_t packed_size = 0, plain_size = 0;
};
// The skippable frame at the end of a zstd payload.
Bytes EncodeFrameTable(const std::vector<Frame>& frames);
// Its size, known from the plain size alone; 0 for plain payloads.
std::uint64_t FrameTableSize(const EnvelopeFooter& footer);
// REQUIRES: table holds FrameTableSize bytes. The frames together have exactly the sizes of the footer. Plain payloads
// get frames of equal sizes.
Result<std::vector<Frame>> DecodeFrameTable(ByteView table, const EnvelopeFooter& footer,
                                            const std::string& name);

}  // namespace pitr::envelope
