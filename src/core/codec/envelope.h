// The header and footer around what is stored: magic, version, codec, sizes, checksums. Encryption lies below, see
// encrypted_store.h: the cipher of an envelope is always 0. Format: doc/repository-format.md.
//
//   header  64 bytes   magic "PITRobj1", kind, version, codec, cipher (0), plain size (0 = see footer, always so here)
//   payload            zstd frames of 2 MiB of plain bytes each (the last one has the rest) and, as a last, skippable
//                      frame, the table of their sizes ("zstd seekable format"): `zstd -d` reads it; or plain bytes (codec 0)
//   extra              optional second part, itself self-describing (the WAL index of a segment)
//   footer  64 bytes   magic "PITe", kind, version, codec, cipher, payload size, extra size, plain size, XXH3 of plain,
//                      XXH3 of stored payload, XXH3 of the extra, XXH3 of header and footer
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/store/store.h"

namespace pitr {

enum class ObjectKind : std::uint8_t {
  kWalSegment = 1,
  kWalPart = 2,
  kText = 3,
  kManifest = 4,
  kDump = 5
};

struct EnvelopeFooter {
  ObjectKind kind = ObjectKind::kText;
  std::uint8_t version = 1, codec = 0, cipher = 0;
  std::uint64_t payload_size = 0, extra_size = 0, plain_size = 0;
  std::uint64_t plain_hash = 0, payload_hash = 0, extra_hash = 0;
  std::uint64_t object_size() const;  // of a footer that was read: cannot overflow
};
inline constexpr std::size_t kEnvelopeHeadSize = 64, kEnvelopeFootSize = 64;
// Plain bytes of a frame. Small enough that reader and writer hold a whole one; large enough that zstd loses nothing
// (0.1 % on pgbench's WAL against one frame, and compressing at once is a seventh quicker than in a stream).
inline constexpr std::size_t kEnvelopeFrameSize = 2U << 20;

// Writes one object in one pass. Add(plain)…, then Finish(extra) publishes; see ObjectWriter. Destroying it without
// Finish leaves nothing. Memory: some megabytes, whatever the size; least when pieces of kEnvelopeFrameSize are added.
class EnvelopeWriter {
 public:
  static Result<std::unique_ptr<EnvelopeWriter>> Create(ObjectStore* store, const std::string& name,
                                                        ObjectKind kind, int compression_level);
  virtual ~EnvelopeWriter() = default;
  virtual Status Add(ByteView plain) = 0;
  // kAlreadyExists as ObjectWriter::Commit. The footer that was (or would have been) written is in footer().
  virtual Status Finish(ByteView extra = {}) = 0;
  virtual const EnvelopeFooter& footer() const = 0;
};

// Whole object into memory: kCorrupt names the object and which checksum differs (expected and found).
Result<Bytes> ReadEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                           std::uint64_t max_plain_size, EnvelopeFooter* footer = nullptr);
// The extra part and the footer with one suffix read (two when the extra is larger than the guess).
Result<Bytes> ReadEnvelopeExtra(ObjectStore* store, const std::string& name, ObjectKind kind,
                                EnvelopeFooter* footer);
// Streams the plain bytes to `sink` in order, verifying; a Status from sink ends it.
Status StreamEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                      const std::function<Status(ByteView)>& sink);
// The footer alone, with one suffix read; the payload is not looked at.
Result<EnvelopeFooter> ReadEnvelopeFooter(ObjectStore* store, const std::string& name,
                                          ObjectKind kind);

// The same over bytes at hand, without a store.
Result<Bytes> EncodeEnvelope(ObjectKind kind, int compression_level, ByteView plain,
                             ByteView extra = {});
Result<Bytes> DecodeEnvelope(ByteView object, const std::string& name, ObjectKind kind,
                             std::uint64_t max_plain_size, EnvelopeFooter* footer = nullptr,
                             Bytes* extra = nullptr);

// Small whole objects. kAlreadyExists as ObjectStore::Put.
Status WriteEnvelope(ObjectStore* store, const std::string& name, ObjectKind kind,
                     int compression_level, ByteView plain);

}  // namespace pitr
