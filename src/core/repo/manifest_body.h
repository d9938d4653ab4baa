// Between manifest_codec.cpp and manifest_body.cpp: the columns of a manifest's body, and what both decode with.
#pragma once

#include <limits>
#include <string_view>

#include "core/repo/manifest.h"

namespace pitr {

inline Status Malformed(std::string_view part) {
  return Status(Code::kCorrupt, "manifest is malformed: " + std::string(part));
}

// A varint that must fit a smaller type: `*good` turns false otherwise.
template <typename T>
T Narrow(std::uint64_t value, bool* good) {
  *good = *good && value <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  return *good ? static_cast<T>(value) : T{0};
}

inline bool Flag(ByteReader* in, bool* good) {
  const std::uint8_t value = in->U8();
  *good = *good && value <= 1;
  return value == 1;
}

inline constexpr std::size_t kManifestPreludeSize =
    32;  // magic 8, version 2, flags 2, head size 4, body plain 8, body packed 8
inline constexpr std::uint16_t kManifestBodyStored = 1;  // flag: the body is not compressed
struct ManifestPrelude {
  std::uint16_t flags = 0;
  std::uint32_t head_size = 0;
  std::uint64_t body_plain = 0, body_packed = 0;
};
// Of a manifest, or of its first part with the whole head.
Result<ManifestPrelude> DecodeManifestPrelude(ByteView bytes);

// The first part of a body, or of as much as there is of it: then kCorrupt.
Status DecodeManifestPacks(ByteReader* in, std::vector<PackRef>* packs);
// packs, frames, files with their extents, bad_pages.
Bytes EncodeManifestBody(const Manifest& manifest);
// kCorrupt when the columns cannot be read; whether what they say fits together is CheckManifest's question.
Status DecodeManifestBody(ByteView body, Manifest* manifest);

}  // namespace pitr
