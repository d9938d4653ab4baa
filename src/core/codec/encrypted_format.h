// The bytes of an encrypted object: sealed chunks and behind them a foot of fixed size. Shared by the writer and the readers in
// encrypted_store.cpp. Byte tables: doc/repository-format.md 7.
//
// Everything that a reader must know stands in the foot, and the foot at the end: one read of the end of an object gives its key
// and, with it, the last chunks; a writer needs to know nothing in advance. The plain size in the foot is authenticated, so that the
// number of chunks and the size of the last one are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/codec/cipher.h"

namespace pitr::encrypted {

// Plain bytes of a chunk: 16 bytes of tag are 0.02 % of it, and the most that is read and thrown away at each end of a range.
inline constexpr std::size_t kChunkSize = 64U << 10;
inline constexpr std::size_t kStoredChunkSize = kChunkSize + kTagSize;
inline constexpr std::size_t kFootSize = 92;
inline constexpr std::size_t kMasterKeyIdSize = 8;

struct Foot {
  std::uint64_t plain_size = 0;
  std::array<std::uint8_t, kMasterKeyIdSize> master_key_id = {};
  WrappedKey data_key;
};

std::uint64_t ChunkCount(std::uint64_t plain_size);
// Of the chunks alone, and of the whole object. UINT64_MAX when that is more than 64 bits say.
std::uint64_t BodySize(std::uint64_t plain_size);
std::uint64_t StoredSize(std::uint64_t plain_size);
// The plain size of an object of which only the stored size is known. For a size that no object has, some smaller one.
std::uint64_t PlainSize(std::uint64_t stored_size);

// kCorrupt naming the object.
Status Damaged(const std::string& name, const std::string& why);

Bytes EncodeFoot(const Foot& foot);
// kCorrupt, or kUnsupported for a newer format. The sizes that follow from an accepted plain size do not overflow.
Result<Foot> DecodeFoot(ByteView foot, const std::string& name);
// What the data key is bound to: the foot before it, the repository and the object's name.
Bytes FootContext(const Foot& foot, std::string_view repository_id, std::string_view name);

}  // namespace pitr::encrypted
