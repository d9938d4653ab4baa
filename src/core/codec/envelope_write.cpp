// The writer of envelopes: frame by frame, so that the object is on its way to the store while the rest is made.
#include "core/codec/envelope.h"

#include <algorithm>

#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/codec/envelope_format.h"

namespace pitr {

namespace {

class StoreEnvelopeWriter final : public EnvelopeWriter {
 public:
  StoreEnvelopeWriter(std::unique_ptr<ObjectWriter> object, ObjectKind kind, int level)
      : object_(std::move(object)), level_(level) {
    footer_.kind = kind;
    footer_.version = envelope::kVersion;
    footer_.codec = level == 0 ? envelope::kCodecPlain : envelope::kCodecZstd;
  }

  Status Begin() { return object_->Append(envelope::EncodeHead(footer_)); }

  Status Add(ByteView plain) override {
    plain_hash_.Update(plain);
    footer_.plain_size += plain.size();
    while (!plain.empty()) {
      if (pending_.empty() && plain.size() >= kEnvelopeFrameSize) {
        PITR_RETURN_IF_ERROR(WriteFrame(plain.first(kEnvelopeFrameSize)));
        plain = plain.subspan(kEnvelopeFrameSize);
        continue;
      }
      const std::size_t take = std::min(plain.size(), kEnvelopeFrameSize - pending_.size());
      pending_.insert(pending_.end(), plain.begin(),
                      plain.begin() + static_cast<std::ptrdiff_t>(take));
      plain = plain.subspan(take);
      if (pending_.size() == kEnvelopeFrameSize) {
        PITR_RETURN_IF_ERROR(WriteFrame(pending_));
        pending_.clear();
      }
    }
    return Status::Ok();
  }

  Status Finish(ByteView extra) override {
    if (!pending_.empty()) {
      PITR_RETURN_IF_ERROR(WriteFrame(pending_));
      pending_.clear();
    }
    if (level_ != 0) {
      PITR_RETURN_IF_ERROR(AppendPayload(envelope::EncodeFrameTable(frames_)));
    }
    footer_.extra_size = extra.size();
    footer_.plain_hash = plain_hash_.Digest();
    footer_.payload_hash = payload_hash_.Digest();
    footer_.extra_hash = Xxh3(extra);
    PITR_RETURN_IF_ERROR(object_->Append(extra));
    PITR_RETURN_IF_ERROR(object_->Append(envelope::EncodeFoot(footer_)));
    return object_->Commit();
  }

  const EnvelopeFooter& footer() const override { return footer_; }

 private:
  Status WriteFrame(ByteView plain) {
    if (level_ == 0) {
      return AppendPayload(plain);
    }
    packed_.clear();
    PITR_RETURN_IF_ERROR(CompressBlock(level_, plain, &packed_));
    frames_.push_back(
        {static_cast<std::uint32_t>(packed_.size()), static_cast<std::uint32_t>(plain.size())});
    return AppendPayload(packed_);
  }

  Status AppendPayload(ByteView packed) {
    payload_hash_.Update(packed);
    footer_.payload_size += packed.size();
    return object_->Append(packed);
  }

  std::unique_ptr<ObjectWriter> object_;
  int level_;
  Bytes pending_, packed_;  // plain bytes that make no whole frame yet; the frame just compressed
  std::vector<envelope::Frame> frames_;
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

Result<std::unique_ptr<EnvelopeWriter>> EnvelopeWriter::Create(ObjectStore* store,
                                                               const std::string& name,
                                                               ObjectKind kind,
                                                               int compression_level) {
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectWriter> object, store->Create(name));
  auto writer = std::make_unique<StoreEnvelopeWriter>(std::move(object), kind, compression_level);
  PITR_RETURN_IF_ERROR(writer->Begin());
  return std::unique_ptr<EnvelopeWriter>(std::move(writer));
}

Result<Bytes> EncodeEnvelope(ObjectKind kind, int compression_level, ByteView plain,
                             ByteView extra) {
  Bytes object;
  StoreEnvelopeWriter writer(std::make_unique<BytesWriter>(&object), kind, compression_level);
  PITR_RETURN_IF_ERROR(writer.Begin());
  PITR_RETURN_IF_ERROR(writer.Add(plain));
  PITR_RETURN_IF_ERROR(writer.Finish(extra));
  return object;
}

Status WriteEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                     int compression_level, ByteView plain) {
  PITR_ASSIGN_OR_RETURN(const Bytes object, EncodeEnvelope(kind, compression_level, plain));
  return store->Put(name, object);
}

}  // namespace pitr
