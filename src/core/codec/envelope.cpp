// The readers of envelopes. Invariant: nothing from an envelope reaches a caller before its checksum agreed, except
// in StreamEnvelope, whose sink learns of damage in the payload by the status that follows.
#include "core/codec/envelope.h"

#include <algorithm>

#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/codec/envelope_format.h"
#include "core/store/abilities.h"

namespace pitr {

namespace {

using envelope::CheckHash;
using envelope::Damaged;
using envelope::Frame;

// Frames are fetched together until they make this much.
constexpr std::uint64_t kReadSize = 1U << 20;
// The index of a 16 MiB segment is some tens of KiB: one suffix read gets most of them.
constexpr std::uint64_t kExtraGuess = 128U << 10;
// What an extra part may need at most: the index of a 1 GiB segment.
constexpr std::uint64_t kMaxExtra = 256U << 20;

Status Unpack(ByteView packed, const EnvelopeFooter& footer, const std::string& name,
              std::uint8_t* out, std::size_t out_size) {
  Status status = DecompressBlock(packed, footer.codec == envelope::kCodecPlain, out, out_size);
  return status.ok() ? status : std::move(status).Prefix("object \"" + name + "\"");
}

// All plain bytes of a payload at hand. REQUIRES: its checksum agreed.
Result<Bytes> UnpackAll(ByteView payload, const EnvelopeFooter& footer, const std::string& name) {
  const auto table_size = static_cast<std::size_t>(envelope::FrameTableSize(footer));
  PITR_ASSIGN_OR_RETURN(const std::vector<Frame> frames,
                        envelope::DecodeFrameTable(payload.last(table_size), footer, name));
  Bytes plain(static_cast<std::size_t>(footer.plain_size));
  std::size_t packed_at = 0, plain_at = 0;
  for (const Frame& frame : frames) {
    PITR_RETURN_IF_ERROR(Unpack(payload.subspan(packed_at, frame.packed_size), footer, name,
                                plain.data() + plain_at, frame.plain_size));
    packed_at += frame.packed_size;
    plain_at += frame.plain_size;
  }
  PITR_RETURN_IF_ERROR(CheckHash(name, "content", footer.plain_hash, Xxh3(plain)));
  return plain;
}

}  // namespace

// Of a footer that was read the sum cannot wrap, see CheckSizes.
std::uint64_t EnvelopeFooter::object_size() const {
  return kEnvelopeHeadSize + payload_size + extra_size + kEnvelopeFootSize;
}

Result<Bytes> DecodeEnvelope(ByteView object, const std::string& name, ObjectKind kind,
                             std::uint64_t max_plain_size, EnvelopeFooter* footer, Bytes* extra) {
  if (object.size() < kEnvelopeHeadSize + kEnvelopeFootSize) {
    return Damaged(name, "it is too short");
  }
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter found,
                        envelope::DecodeFoot(object.last(kEnvelopeFootSize), name, kind));
  if (found.object_size() != object.size()) {
    return Damaged(name, "it has " + std::to_string(object.size()) + " bytes, not " +
                             std::to_string(found.object_size()));
  }
  PITR_RETURN_IF_ERROR(envelope::CheckHead(object.first(kEnvelopeHeadSize), found, name));
  const ByteView payload =
      object.subspan(kEnvelopeHeadSize, static_cast<std::size_t>(found.payload_size));
  const ByteView extra_part = object.subspan(kEnvelopeHeadSize + payload.size(),
                                             static_cast<std::size_t>(found.extra_size));
  PITR_RETURN_IF_ERROR(CheckHash(name, "stored content", found.payload_hash, Xxh3(payload)));
  PITR_RETURN_IF_ERROR(CheckHash(name, "extra part", found.extra_hash, Xxh3(extra_part)));
  if (found.plain_size > max_plain_size) {
    return Status(Code::kLimit, "object \"" + name + "\" holds more than " +
                                    std::to_string(max_plain_size) + " bytes");
  }
  PITR_ASSIGN_OR_RETURN(Bytes plain, UnpackAll(payload, found, name));
  if (footer != nullptr) {
    *footer = found;
  }
  if (extra != nullptr) {
    extra->assign(extra_part.begin(), extra_part.end());
  }
  return plain;
}

namespace {

// Once more as long as the store has another copy of what turns out damaged.
template <typename Read>
auto ReadSound(ObjectStore* store, const std::string& name, Read read) -> decltype(read()) {
  for (;;) {
    auto result = read();
    if (result.ok() || result.status().code() != Code::kCorrupt || !Distrust(store, name)) {
      return result;
    }
  }
}

Result<Bytes> ReadWhole(ObjectStore* store, const std::string& name, ObjectKind kind,
                        std::uint64_t max_plain_size, EnvelopeFooter* footer) {
  // zstd's worst case is 1/256 more than the plain size; the rest is for the extra part.
  const std::uint64_t max_size = max_plain_size + max_plain_size / 128 + kMaxExtra;
  PITR_ASSIGN_OR_RETURN(const Bytes object, store->Get(name, max_size));
  return DecodeEnvelope(object, name, kind, max_plain_size, footer);
}

Result<EnvelopeFooter> ReadFoot(ObjectStore* store, const std::string& name, ObjectKind kind) {
  PITR_ASSIGN_OR_RETURN(const Bytes foot, store->GetSuffix(name, kEnvelopeFootSize));
  return envelope::DecodeFoot(foot, name, kind);
}

Result<Bytes> ReadExtra(ObjectStore* store, const std::string& name, ObjectKind kind,
                        EnvelopeFooter* footer) {
  PITR_ASSIGN_OR_RETURN(Bytes suffix, store->GetSuffix(name, kExtraGuess));
  if (suffix.size() < kEnvelopeFootSize) {
    return Damaged(name, "it is too short");
  }
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter found,
                        envelope::DecodeFoot(ByteView(suffix).last(kEnvelopeFootSize), name, kind));
  if (found.extra_size > kMaxExtra) {
    return Damaged(name, "its extra part is too large");
  }
  const auto needed = static_cast<std::size_t>(found.extra_size) + kEnvelopeFootSize;
  if (suffix.size() < needed) {
    PITR_ASSIGN_OR_RETURN(suffix, store->GetSuffix(name, needed));
    if (suffix.size() < needed) {
      return Damaged(name, "it is too short");
    }
  }
  const ByteView extra = ByteView(suffix).last(needed).first(needed - kEnvelopeFootSize);
  PITR_RETURN_IF_ERROR(CheckHash(name, "extra part", found.extra_hash, Xxh3(extra)));
  if (footer != nullptr) {
    *footer = found;
  }
  return Bytes(extra.begin(), extra.end());
}

}  // namespace

Result<Bytes> ReadEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                           std::uint64_t max_plain_size, EnvelopeFooter* footer) {
  return ReadSound(store, name,
                   [&] { return ReadWhole(store, name, kind, max_plain_size, footer); });
}

Result<EnvelopeFooter> ReadEnvelopeFooter(ObjectStore* store, const std::string& name,
                                          ObjectKind kind) {
  return ReadSound(store, name, [&] { return ReadFoot(store, name, kind); });
}

Result<Bytes> ReadEnvelopeExtra(ObjectStore* store, const std::string& name, ObjectKind kind,
                                EnvelopeFooter* footer) {
  return ReadSound(store, name, [&] { return ReadExtra(store, name, kind, footer); });
}

namespace {

// Passes the plain bytes of an object on, frame by frame.
class EnvelopeStream {
 public:
  EnvelopeStream(ObjectStore* store, const std::string& name, const EnvelopeFooter& footer)
      : store_(store), name_(name), footer_(footer) {}

  Status Run(const std::function<Status(ByteView)>& sink) {
    PITR_ASSIGN_OR_RETURN(const Bytes rest, ReadRest());
    const auto table_size = static_cast<std::size_t>(envelope::FrameTableSize(footer_));
    const ByteView table = ByteView(rest).first(table_size);
    PITR_ASSIGN_OR_RETURN(const std::vector<Frame> frames,
                          envelope::DecodeFrameTable(table, footer_, name_));
    PITR_ASSIGN_OR_RETURN(const Bytes head, Read(0, kEnvelopeHeadSize));
    PITR_RETURN_IF_ERROR(envelope::CheckHead(head, footer_, name_));
    std::uint64_t position = kEnvelopeHeadSize;
    for (auto begin = frames.begin(); begin != frames.end();) {
      std::uint64_t size = 0;
      auto end = begin;
      while (end != frames.end() && size < kReadSize) {
        size += (end++)->packed_size;
      }
      PITR_ASSIGN_OR_RETURN(const Bytes packed, Read(position, size));
      payload_hash_.Update(packed);
      PITR_RETURN_IF_ERROR(Pass(packed, {begin, end}, sink));
      position += size;
      begin = end;
    }
    payload_hash_.Update(table);
    PITR_RETURN_IF_ERROR(
        CheckHash(name_, "stored content", footer_.payload_hash, payload_hash_.Digest()));
    return CheckHash(name_, "content", footer_.plain_hash, plain_hash_.Digest());
  }

 private:
  // All from the table of frames to the end. One byte more is asked for: an object longer than its footer says
  // is damaged.
  Result<Bytes> ReadRest() {
    const std::uint64_t table_size = envelope::FrameTableSize(footer_);
    const std::uint64_t size = table_size + footer_.extra_size + kEnvelopeFootSize;
    if (footer_.extra_size > kMaxExtra) {
      return Damaged(name_, "its extra part is too large");
    }
    PITR_ASSIGN_OR_RETURN(Bytes rest,
                          store_->GetRange(name_, footer_.object_size() - size, size + 1));
    if (rest.size() != size) {
      return Damaged(name_, "it does not have the " + std::to_string(footer_.object_size()) +
                                " bytes that its footer says");
    }
    const ByteView extra = ByteView(rest).subspan(static_cast<std::size_t>(table_size),
                                                  static_cast<std::size_t>(footer_.extra_size));
    PITR_RETURN_IF_ERROR(CheckHash(name_, "extra part", footer_.extra_hash, Xxh3(extra)));
    return rest;
  }

  Result<Bytes> Read(std::uint64_t position, std::uint64_t size) {
    PITR_ASSIGN_OR_RETURN(Bytes bytes, store_->GetRange(name_, position, size));
    if (bytes.size() != size) {
      return Damaged(name_, "it is too short");
    }
    return bytes;
  }

  Status Pass(ByteView packed, std::span<const Frame> frames,
              const std::function<Status(ByteView)>& sink) {
    for (const Frame& frame : frames) {
      plain_.resize(frame.plain_size);
      PITR_RETURN_IF_ERROR(
          Unpack(packed.first(frame.packed_size), footer_, name_, plain_.data(), plain_.size()));
      packed = packed.subspan(frame.packed_size);
      plain_hash_.Update(plain_);
      PITR_RETURN_IF_ERROR(sink(plain_));
    }
    return Status::Ok();
  }

  ObjectStore* store_;
  const std::string& name_;
  const EnvelopeFooter& footer_;
  Xxh3Stream plain_hash_, payload_hash_;
  Bytes plain_;
};

}  // namespace

Status StreamEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                      const std::function<Status(ByteView)>& sink) {
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter footer, ReadEnvelopeFooter(store, name, kind));
  return EnvelopeStream(store, name, footer).Run(sink);
}

}  // namespace pitr
