// Envelopes. The first byte chooses: even, the rest is an object as it is read from a store; odd, the rest becomes the payload
// of an object whose checksums are right, so that the fuzzer gets past them: 1 to the table of frames, 3, with a table for one
// frame behind it, to the decompressor.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/base/hash.h"
#include "core/codec/envelope.h"
#include "core/codec/envelope_format.h"

namespace {

constexpr std::uint64_t kMaxPlain = 1U << 20;

void Check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

// Accepted objects come back after being written again.
void Decode(pitr::ByteView object) {
  for (const pitr::ObjectKind kind : {pitr::ObjectKind::kWalSegment, pitr::ObjectKind::kWalPart,
                                      pitr::ObjectKind::kText, pitr::ObjectKind::kManifest}) {
    pitr::EnvelopeFooter footer;
    pitr::Bytes extra;
    const pitr::Result<pitr::Bytes> plain =
        pitr::DecodeEnvelope(object, "fuzz", kind, kMaxPlain, &footer, &extra);
    if (!plain.ok()) {
      continue;
    }
    Check(plain->size() <= kMaxPlain && footer.object_size() == object.size());
    const pitr::Result<pitr::Bytes> again =
        pitr::EncodeEnvelope(kind, footer.codec == 0 ? 0 : 1, *plain, extra);
    Check(again.ok());
    pitr::Bytes extra_again;
    const pitr::Result<pitr::Bytes> plain_again =
        pitr::DecodeEnvelope(*again, "fuzz", kind, kMaxPlain, nullptr, &extra_again);
    Check(plain_again.ok() && *plain_again == *plain && extra_again == extra);
    // What is stored as it is has one form only.
    Check(footer.codec != 0 || std::equal(object.begin(), object.end(), again->begin()));
  }
}

// doc/repository-format.md 3, with right checksums around any payload. Bytes 1 and 2: codec, size of the extra part; 3 to 5:
// plain size.
pitr::Bytes Compose(pitr::ByteView input, bool with_table) {
  pitr::ByteReader in(input);
  const std::uint8_t codec = in.U8();
  const std::uint8_t extra_size = in.U8();
  const std::uint64_t plain_size = in.U8() | static_cast<std::uint64_t>(in.U16()) << 8;
  const pitr::ByteView rest = in.Raw(in.remaining());
  const std::size_t cut = rest.size() < extra_size ? rest.size() : extra_size;
  const pitr::ByteView extra = rest.first(cut);
  pitr::Bytes payload(rest.begin() + static_cast<std::ptrdiff_t>(cut), rest.end());
  if (with_table) {
    const pitr::Bytes table = pitr::envelope::EncodeFrameTable(
        {{static_cast<std::uint32_t>(payload.size()), static_cast<std::uint32_t>(plain_size)}});
    payload.insert(payload.end(), table.begin(), table.end());
  }
  const std::uint8_t marks[] = {3, 1, codec, 0};
  pitr::Bytes object;
  pitr::ByteWriter head(&object);
  head.Raw(pitr::AsBytes("PITRobj1"));
  head.Raw(marks);
  object.resize(pitr::kEnvelopeHeadSize - 8);
  head.U64(pitr::Xxh3(object));
  pitr::Bytes covered = object;
  head.Raw(payload);
  head.Raw(extra);
  pitr::Bytes foot;
  pitr::ByteWriter out(&foot);
  out.Raw(pitr::AsBytes("PITe"));
  out.Raw(marks);
  out.U64(payload.size());
  out.U64(extra.size());
  out.U64(plain_size);
  // Right for plain content; a frame's content is not known here, so what decompresses fails at this one.
  out.U64(pitr::Xxh3(payload));
  out.U64(pitr::Xxh3(payload));
  out.U64(pitr::Xxh3(extra));
  covered.insert(covered.end(), foot.begin(), foot.end());
  out.U64(pitr::Xxh3(covered));
  object.insert(object.end(), foot.begin(), foot.end());
  return object;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const pitr::ByteView rest(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    Decode(rest);
  } else {
    Decode(Compose(rest, data[0] % 4 == 3));
  }
  return 0;
}
