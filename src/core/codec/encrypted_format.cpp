// See the header. Every number of the format is here.
#include "core/codec/encrypted_format.h"

#include <algorithm>

namespace pitr::encrypted {

namespace {

constexpr std::string_view kMagic = "PITRenc1";
constexpr std::uint8_t kVersion = 1, kAes256Gcm = 1, kChunkBits = 16;
static_assert(kChunkSize == 1U << kChunkBits);
constexpr std::size_t kReserved = 5;
constexpr std::uint64_t kMaxPlain = 1ULL << 56;  // keeps sums from wrapping

// Up to the wrapped key.
Bytes EncodeBegin(const Foot& foot) {
  Bytes out;
  ByteWriter writer(&out);
  writer.Raw(AsBytes(kMagic));
  writer.U8(kVersion);
  writer.U8(kAes256Gcm);
  writer.U8(kChunkBits);
  writer.Raw(Bytes(kReserved));
  writer.U64(foot.plain_size);
  writer.Raw(foot.master_key_id);
  return out;
}

}  // namespace

std::uint64_t ChunkCount(std::uint64_t plain_size) {
  return plain_size / kChunkSize + (plain_size % kChunkSize == 0 ? 0 : 1);
}

std::uint64_t BodySize(std::uint64_t plain_size) {
  return plain_size > kMaxPlain ? UINT64_MAX : plain_size + ChunkCount(plain_size) * kTagSize;
}

std::uint64_t StoredSize(std::uint64_t plain_size) {
  return plain_size > kMaxPlain ? UINT64_MAX : BodySize(plain_size) + kFootSize;
}

std::uint64_t PlainSize(std::uint64_t stored_size) {
  if (stored_size < kFootSize) {
    return 0;
  }
  const std::uint64_t body = stored_size - kFootSize;
  const std::uint64_t rest = body % kStoredChunkSize;
  return body / kStoredChunkSize * kChunkSize + (rest > kTagSize ? rest - kTagSize : 0);
}

Status Damaged(const std::string& name, const std::string& why) {
  return Status(Code::kCorrupt, "object \"" + name + "\" is damaged: " + why);
}

Bytes EncodeFoot(const Foot& foot) {
  Bytes out = EncodeBegin(foot);
  ByteWriter writer(&out);
  writer.Raw(foot.data_key.nonce);
  writer.Raw(foot.data_key.sealed);
  return out;
}

Result<Foot> DecodeFoot(ByteView bytes, const std::string& name) {
  if (bytes.size() != kFootSize) {
    return Damaged(name, "it is too short");
  }
  ByteReader in(bytes);
  const ByteView magic = in.Raw(kMagic.size());
  if (AsText(magic) != kMagic) {
    return Damaged(name, "it does not end as an encrypted object does");
  }
  const std::uint8_t version = in.U8(), cipher = in.U8(), chunk_bits = in.U8();
  const ByteView reserved = in.Raw(kReserved);
  if (version != kVersion || cipher != kAes256Gcm || chunk_bits != kChunkBits ||
      std::any_of(reserved.begin(), reserved.end(), [](std::uint8_t byte) { return byte != 0; })) {
    return Status(Code::kUnsupported, "object \"" + name + "\" is encrypted in another format")
        .WithDetail("Version " + std::to_string(version) + ", cipher " + std::to_string(cipher) +
                    ", chunks of 2^" + std::to_string(chunk_bits) + " bytes.");
  }
  Foot foot;
  foot.plain_size = in.U64();
  if (foot.plain_size > kMaxPlain) {
    return Damaged(name, "its size is impossible");
  }
  const auto take = [&in](std::span<std::uint8_t> out) {
    const ByteView part = in.Raw(out.size());
    std::copy(part.begin(), part.end(), out.begin());
  };
  take(foot.master_key_id);
  take(foot.data_key.nonce);
  take(foot.data_key.sealed);
  return foot;
}

Bytes FootContext(const Foot& foot, std::string_view repository_id, std::string_view name) {
  Bytes out = EncodeBegin(foot);
  ByteWriter writer(&out);
  writer.Text(repository_id);
  writer.Text(name);
  return out;
}

}  // namespace pitr::encrypted
