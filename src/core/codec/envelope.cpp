// Writing and reading of envelopes. Byte table: doc/repository-format.md 3. Invariant: nothing from an
// envelope reaches a caller before its checksum agreed, except in StreamEnvelope, whose sink learns of damage
// in the payload by the status that follows.
#include "core/codec/envelope.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/base/hash.h"
#include "core/codec/compress.h"

namespace pitr {

namespace {

constexpr std::string_view kHeadMagic = "PITRobj1";
constexpr std::string_view kFootMagic = "PITe";
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kCodecPlain = 0, kCodecZstd = 1;
// Compressed bytes are handed to the store in pieces of this size at least.
constexpr std::size_t kFlushSize = 256U << 10;
constexpr std::uint64_t kReadSize = 1U << 20;
// The index of a 16 MiB segment is some tens of KiB: one suffix read gets most of them.
constexpr std::uint64_t kExtraGuess = 128U << 10;
// What an extra part may need at most: the index of a 1 GiB segment.
constexpr std::uint64_t kMaxExtra = 256U << 20;

std::string Hex(std::uint64_t hash) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

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

// Checks the footer by itself and against the header that belongs to it, which version 1 can compute.
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
  if (footer.kind != kind) {
    return Damaged(name, "it is of kind " + std::to_string(found_kind) + ", not " +
                             std::to_string(static_cast<int>(kind)));
  }
  constexpr std::uint64_t kMaxPart = 1ULL << 48;  // keeps the sum of the sizes from wrapping
  if (footer.version == 0 || footer.payload_size > kMaxPart || footer.extra_size > kMaxPart) {
    return Damaged(name, "its sizes are impossible");
  }
  return footer;
}

Status CheckHead(ByteView head, const EnvelopeFooter& footer, const std::string& name) {
  const Bytes expected = EncodeHead(footer);
  if (head.size() == expected.size() && std::equal(head.begin(), head.end(), expected.begin())) {
    return Status::Ok();
  }
  return Damaged(name, "its header differs from what its footer says");
}

class StoreEnvelopeWriter final : public EnvelopeWriter {
 public:
  StoreEnvelopeWriter(std::unique_ptr<ObjectWriter> object, ObjectKind kind, int level)
      : object_(std::move(object)), compressor_(level) {
    footer_.kind = kind;
    footer_.version = kVersion;
    footer_.codec = level == 0 ? kCodecPlain : kCodecZstd;
  }

  Status Begin(std::uint64_t plain_size) {
    if (plain_size != 0) {
      compressor_.SetSize(plain_size);
    }
    return object_->Append(EncodeHead(footer_));
  }

  Status Add(ByteView plain) override {
    plain_hash_.Update(plain);
    footer_.plain_size += plain.size();
    PITR_RETURN_IF_ERROR(compressor_.Add(plain, &packed_));
    return packed_.size() < kFlushSize ? Status::Ok() : Flush();
  }

  Status Finish(ByteView extra) override {
    PITR_RETURN_IF_ERROR(compressor_.Finish(&packed_));
    PITR_RETURN_IF_ERROR(Flush());
    footer_.extra_size = extra.size();
    footer_.plain_hash = plain_hash_.Digest();
    footer_.payload_hash = payload_hash_.Digest();
    footer_.extra_hash = Xxh3(extra);
    PITR_RETURN_IF_ERROR(object_->Append(extra));
    PITR_RETURN_IF_ERROR(object_->Append(EncodeFoot(footer_)));
    return object_->Commit();
  }

  const EnvelopeFooter& footer() const override { return footer_; }

 private:
  Status Flush() {
    payload_hash_.Update(packed_);
    footer_.payload_size += packed_.size();
    PITR_RETURN_IF_ERROR(object_->Append(packed_));
    packed_.clear();
    return Status::Ok();
  }

  std::unique_ptr<ObjectWriter> object_;
  Compressor compressor_;
  Bytes packed_;
  Xxh3Stream plain_hash_, payload_hash_;
  EnvelopeFooter footer_;
};

// Puts what is streamed together in memory; for EncodeEnvelope.
class BytesWriter final : public ObjectWriter {
 public:
  explicit BytesWriter(Bytes* out) : out_(out) {}
  Status Append(ByteView bytes) override {
    out_->insert(out_->end(), bytes.begin(), bytes.end());
    return Status::Ok();
  }
  Status Commit() override { return Status::Ok(); }

 private:
  Bytes* out_;
};

}  // namespace

std::uint64_t EnvelopeFooter::object_size() const {
  return kEnvelopeHeadSize + payload_size + extra_size + kEnvelopeFootSize;
}

Result<std::unique_ptr<EnvelopeWriter>> EnvelopeWriter::Create(ObjectStore* store,
                                                               const std::string& name,
                                                               ObjectKind kind,
                                                               int compression_level,
                                                               std::uint64_t plain_size) {
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectWriter> object, store->Create(name));
  auto writer = std::make_unique<StoreEnvelopeWriter>(std::move(object), kind, compression_level);
  PITR_RETURN_IF_ERROR(writer->Begin(plain_size));
  return std::unique_ptr<EnvelopeWriter>(std::move(writer));
}

Result<Bytes> EncodeEnvelope(ObjectKind kind, int compression_level, ByteView plain,
                             ByteView extra) {
  Bytes object;
  StoreEnvelopeWriter writer(std::make_unique<BytesWriter>(&object), kind, compression_level);
  PITR_RETURN_IF_ERROR(writer.Begin(plain.size()));
  PITR_RETURN_IF_ERROR(writer.Add(plain));
  PITR_RETURN_IF_ERROR(writer.Finish(extra));
  return object;
}

Status WriteEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                     int compression_level, ByteView plain) {
  PITR_ASSIGN_OR_RETURN(const Bytes object, EncodeEnvelope(kind, compression_level, plain));
  return store->Put(name, object);
}

Result<Bytes> DecodeEnvelope(ByteView object, const std::string& name, ObjectKind kind,
                             std::uint64_t max_plain_size, EnvelopeFooter* footer, Bytes* extra) {
  if (object.size() < kEnvelopeHeadSize + kEnvelopeFootSize) {
    return Damaged(name, "it is too short");
  }
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter found,
                        DecodeFoot(object.last(kEnvelopeFootSize), name, kind));
  if (found.object_size() != object.size()) {
    return Damaged(name, "it has " + std::to_string(object.size()) + " bytes, not " +
                             std::to_string(found.object_size()));
  }
  PITR_RETURN_IF_ERROR(CheckHead(object.first(kEnvelopeHeadSize), found, name));
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
  Decompressor decompressor(found.codec == kCodecPlain, found.plain_size);
  Bytes plain;
  Status status = decompressor.Add(payload, &plain);
  if (status.ok()) {
    status = decompressor.Finish();
  }
  if (!status.ok()) {
    return std::move(status).Prefix("object \"" + name + "\"");
  }
  if (plain.size() != found.plain_size) {
    return Damaged(name, "its content has " + std::to_string(plain.size()) + " bytes, not " +
                             std::to_string(found.plain_size));
  }
  PITR_RETURN_IF_ERROR(CheckHash(name, "content", found.plain_hash, Xxh3(plain)));
  if (footer != nullptr) {
    *footer = found;
  }
  if (extra != nullptr) {
    extra->assign(extra_part.begin(), extra_part.end());
  }
  return plain;
}

Result<Bytes> ReadEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                           std::uint64_t max_plain_size, EnvelopeFooter* footer) {
  // zstd's worst case is 1/256 more than the plain size; the rest is for the extra part.
  const std::uint64_t max_size = max_plain_size + max_plain_size / 128 + kMaxExtra;
  PITR_ASSIGN_OR_RETURN(const Bytes object, store->Get(name, max_size));
  return DecodeEnvelope(object, name, kind, max_plain_size, footer);
}

Result<EnvelopeFooter> ReadEnvelopeFooter(ObjectStore* store, const std::string& name,
                                          ObjectKind kind) {
  PITR_ASSIGN_OR_RETURN(const Bytes foot, store->GetSuffix(name, kEnvelopeFootSize));
  return DecodeFoot(foot, name, kind);
}

Result<Bytes> ReadEnvelopeExtra(ObjectStore* store, const std::string& name, ObjectKind kind,
                                EnvelopeFooter* footer) {
  PITR_ASSIGN_OR_RETURN(Bytes suffix, store->GetSuffix(name, kExtraGuess));
  if (suffix.size() < kEnvelopeFootSize) {
    return Damaged(name, "it is too short");
  }
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter found,
                        DecodeFoot(ByteView(suffix).last(kEnvelopeFootSize), name, kind));
  if (found.extra_size > kMaxExtra) {
    return Damaged(name, "its sizes are impossible");
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

namespace {

// Takes the object in order, in pieces of any size, and passes the plain bytes on.
class EnvelopeStream {
 public:
  EnvelopeStream(const std::string& name, const EnvelopeFooter& footer,
                 const std::function<Status(ByteView)>& sink)
      : name_(name),
        footer_(footer),
        sink_(sink),
        decompressor_(footer.codec == kCodecPlain, footer.plain_size) {}

  // REQUIRES: the first piece holds the header at least.
  Status Add(ByteView piece) {
    if (position_ == 0) {
      PITR_RETURN_IF_ERROR(CheckHead(piece.first(kEnvelopeHeadSize), footer_, name_));
      piece = piece.subspan(kEnvelopeHeadSize);
      position_ = kEnvelopeHeadSize;
    }
    const std::uint64_t payload_end = kEnvelopeHeadSize + footer_.payload_size;
    const ByteView payload = Take(&piece, payload_end);
    if (!payload.empty()) {
      PITR_RETURN_IF_ERROR(AddPayload(payload));
    }
    extra_hash_.Update(Take(&piece, payload_end + footer_.extra_size));
    return Status::Ok();  // what is left is the footer, known already
  }

  Status Finish() {
    PITR_RETURN_IF_ERROR(
        CheckHash(name_, "stored content", footer_.payload_hash, payload_hash_.Digest()));
    PITR_RETURN_IF_ERROR(CheckHash(name_, "extra part", footer_.extra_hash, extra_hash_.Digest()));
    Status status = decompressor_.Finish();
    if (!status.ok()) {
      return std::move(status).Prefix("object \"" + name_ + "\"");
    }
    return CheckHash(name_, "content", footer_.plain_hash, plain_hash_.Digest());
  }

 private:
  // Cuts from `piece` what lies before `end` of the object.
  ByteView Take(ByteView* piece, std::uint64_t end) {
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>(piece->size(), end > position_ ? end - position_ : 0));
    const ByteView taken = piece->first(size);
    *piece = piece->subspan(size);
    position_ += size;
    return taken;
  }

  Status AddPayload(ByteView payload) {
    payload_hash_.Update(payload);
    // In small steps: a zstd block of 4 bytes can hold 128 KiB of zeros (as the end of a .partial is), so
    // this many bytes become 4 MiB at most.
    constexpr std::size_t kStep = 128;
    while (!payload.empty()) {
      const ByteView step = payload.first(std::min(kStep, payload.size()));
      payload = payload.subspan(step.size());
      plain_.clear();
      Status status = decompressor_.Add(step, &plain_);
      if (!status.ok()) {
        return std::move(status).Prefix("object \"" + name_ + "\"");
      }
      plain_hash_.Update(plain_);
      if (!plain_.empty()) {
        PITR_RETURN_IF_ERROR(sink_(plain_));
      }
    }
    return Status::Ok();
  }

  const std::string& name_;
  const EnvelopeFooter& footer_;
  const std::function<Status(ByteView)>& sink_;
  Decompressor decompressor_;
  Xxh3Stream plain_hash_, payload_hash_, extra_hash_;
  Bytes plain_;
  std::uint64_t position_ = 0;
};

}  // namespace

Status StreamEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                      const std::function<Status(ByteView)>& sink) {
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter footer, ReadEnvelopeFooter(store, name, kind));
  const std::uint64_t size = footer.object_size();
  EnvelopeStream stream(name, footer, sink);
  for (std::uint64_t position = 0; position < size;) {
    // One byte beyond the end is asked for: an object longer than its footer says is damaged.
    const std::uint64_t left = size - position;
    const std::uint64_t wanted = left <= kReadSize ? left + 1 : kReadSize;
    PITR_ASSIGN_OR_RETURN(const Bytes piece, store->GetRange(name, position, wanted));
    if (piece.size() != std::min(kReadSize, left)) {
      return Damaged(
          name, "it does not have the " + std::to_string(size) + " bytes that its footer says");
    }
    PITR_RETURN_IF_ERROR(stream.Add(piece));
    position += piece.size();
  }
  return stream.Finish();
}

}  // namespace pitr
