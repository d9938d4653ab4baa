// See the header. Every number of the format is here.
#include "core/codec/envelope_format.h"

#include <algorithm>
#include <cstdio>

#include "core/base/hash.h"

namespace pitr::envelope {

namespace {

constexpr std::string_view kHeadMagic = "PITRobj1";
constexpr std::string_view kFootMagic = "PITe";

// zstd seekable format 0.1.0 (contrib/seekable_format in zstd's sources): a skippable frame of the sizes of all
// frames, without checksums, which the envelope has.
constexpr std::uint32_t kSkippableMagic = 0x184D2A5E, kSeekableMagic = 0x8F92EAB1;
constexpr std::uint64_t kSkippableHead = 8, kTableEntry = 8, kTableFoot = 9;

std::string Hex(std::uint64_t hash) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

// REQUIRES: DecodeFoot accepted the sizes.
std::uint64_t FrameCount(const EnvelopeFooter& footer) {
  return (footer.plain_size + kEnvelopeFrameSize - 1) / kEnvelopeFrameSize;
}

std::uint32_t PlainSizeOf(std::uint64_t frame, const EnvelopeFooter& footer) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(kEnvelopeFrameSize, footer.plain_size - frame * kEnvelopeFrameSize));
}

Status CheckSizes(const EnvelopeFooter& footer, const std::string& name) {
  constexpr std::uint64_t kMaxPart = 1ULL << 48;  // keeps sums from wrapping
  bool is_possible = footer.payload_size <= kMaxPart && footer.extra_size <= kMaxPart &&
                     footer.plain_size <= kMaxPart;
  if (footer.codec == kCodecPlain) {
    is_possible = is_possible && footer.payload_size == footer.plain_size;
  } else {
    is_possible = is_possible && footer.payload_size >= FrameTableSize(footer);
  }
  return is_possible ? Status::Ok() : Damaged(name, "its sizes are impossible");
}

}  // namespace

Status Damaged(const std::string& name, const std::string& why) {
  return Status(Code::kCorrupt, "object \"" + name + "\" is damaged: " + why);
}

Status CheckHash(const std::string& name, std::string_view what, std::uint64_t expected,
                 std::uint64_t found) {
  if (expected == found) {
    return Status::Ok();
  }
  return Damaged(name, "the checksum of its " + std::string(what) + " differs")
      .WithDetail("Expected " + Hex(expected) + ", found " + Hex(found) + ".");
}

// Of version 1: everything else about the object is in the footer.
Bytes EncodeHead(const EnvelopeFooter& footer) {
  Bytes head;
  ByteWriter out(&head);
  out.Raw(AsBytes(kHeadMagic));
  out.U8(static_cast<std::uint8_t>(footer.kind));
  out.U8(footer.version);
  out.U8(footer.codec);
  out.U8(footer.cipher);
  head.resize(kEnvelopeHeadSize - 8, 0);
  out.U64(Xxh3(head));
  return head;
}

Bytes EncodeFoot(const EnvelopeFooter& footer) {
  Bytes foot;
  ByteWriter out(&foot);
  out.Raw(AsBytes(kFootMagic));
  out.U8(static_cast<std::uint8_t>(footer.kind));
  out.U8(footer.version);
  out.U8(footer.codec);
  out.U8(footer.cipher);
  out.U64(footer.payload_size);
  out.U64(footer.extra_size);
  out.U64(footer.plain_size);
  out.U64(footer.plain_hash);
  out.U64(footer.payload_hash);
  out.U64(footer.extra_hash);
  Bytes covered = EncodeHead(footer);
  covered.insert(covered.end(), foot.begin(), foot.end());
  out.U64(Xxh3(covered));
  return foot;
}

Result<EnvelopeFooter> DecodeFoot(ByteView foot, const std::string& name, ObjectKind kind) {
  if (foot.size() != kEnvelopeFootSize) {
    return Damaged(name, "it is too short");
  }
  ByteReader in(foot);
  if (AsText(in.Raw(kFootMagic.size())) != kFootMagic) {
    return Damaged(name, "it does not end in a footer");
  }
  EnvelopeFooter footer;
  const std::uint8_t found_kind = in.U8();
  footer.kind = static_cast<ObjectKind>(found_kind);
  footer.version = in.U8();
  footer.codec = in.U8();
  footer.cipher = in.U8();
  footer.payload_size = in.U64();
  footer.extra_size = in.U64();
  footer.plain_size = in.U64();
  footer.plain_hash = in.U64();
  footer.payload_hash = in.U64();
  footer.extra_hash = in.U64();
  const std::uint64_t hash = in.U64();
  if (footer.version > kVersion || footer.cipher != 0 || footer.codec > kCodecZstd) {
    return Status(
               Code::kUnsupported,
               "object \"" + name + "\" is of a newer format than this version of pitr_ext reads")
        .WithDetail("Format version " + std::to_string(footer.version) + ", codec " +
                    std::to_string(footer.codec) + ", cipher " + std::to_string(footer.cipher) +
                    ".");
  }
  Bytes covered = EncodeHead(footer);
  covered.insert(covered.end(), foot.begin(), foot.end() - 8);
  PITR_RETURN_IF_ERROR(CheckHash(name, "footer", hash, Xxh3(covered)));
  if (footer.kind != kind || footer.version == 0) {
    return Damaged(name, "it is of kind " + std::to_string(found_kind) + ", not " +
                             std::to_string(static_cast<int>(kind)));
  }
  PITR_RETURN_IF_ERROR(CheckSizes(footer, name));
  return footer;
}

Status CheckHead(ByteView head, const EnvelopeFooter& footer, const std::string& name) {
  const Bytes expected = EncodeHead(footer);
  if (head.size() == expected.size() && std::equal(head.begin(), head.end(), expected.begin())) {
    return Status::Ok();
  }
  return Damaged(name, "its header differs from what its footer says");
}

Bytes EncodeFrameTable(const std::vector<Frame>& frames) {
  Bytes table;
  ByteWriter out(&table);
  out.U32(kSkippableMagic);
  out.U32(static_cast<std::uint32_t>(frames.size() * kTableEntry + kTableFoot));
  for (const Frame& frame : frames) {
    out.U32(frame.packed_size);
    out.U32(frame.plain_size);
  }
  out.U32(static_cast<std::uint32_t>(frames.size()));
  out.U8(0);  // no checksums
  out.U32(kSeekableMagic);
  return table;
}

std::uint64_t FrameTableSize(const EnvelopeFooter& footer) {
  return footer.codec == kCodecPlain
             ? 0
             : kSkippableHead + FrameCount(footer) * kTableEntry + kTableFoot;
}

Result<std::vector<Frame>> DecodeFrameTable(ByteView table, const EnvelopeFooter& footer,
                                            const std::string& name) {
  const bool is_plain = footer.codec == kCodecPlain;
  std::vector<Frame> frames;
  frames.reserve(static_cast<std::size_t>(FrameCount(footer)));
  ByteReader in(table);
  in.Raw(is_plain ? 0 : kSkippableHead);
  std::uint64_t packed_size = table.size();
  for (std::uint64_t i = 0; i < FrameCount(footer); i++) {
    Frame frame{0, PlainSizeOf(i, footer)};
    frame.packed_size = is_plain ? frame.plain_size : in.U32();
    in.Raw(is_plain ? 0 : 4);
    packed_size += frame.packed_size;
    frames.push_back(frame);
  }
  // What was read out of it must make the same table again, which checks all that was passed over.
  const Bytes expected = is_plain ? Bytes() : EncodeFrameTable(frames);
  if (!std::equal(table.begin(), table.end(), expected.begin(), expected.end()) ||
      packed_size != footer.payload_size) {
    return Damaged(name, "the table of its frames does not fit its sizes");
  }
  return frames;
}

}  // namespace pitr::envelope
