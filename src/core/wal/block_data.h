// What records carry about their blocks: data and page images. Kept apart from record.h, which passes them over: only whoever
// looks for names in catalogs wants them, and of few records.
#pragma once

#include <vector>

#include "core/base/bytes.h"
#include "core/wal/record.h"

namespace pitr::wal {

struct BlockData {
  RelFork relation;
  std::uint32_t block = 0;
  ByteView data;  // empty when there is none
  bool has_image = false;
  ByteView image;
  std::uint16_t hole_offset = 0, hole_length = 0;
  std::uint8_t compression = 0;  // block::kImagePglz, kImageLz4, kImageZstd or 0
};

// `record` is a whole record that DecodeBody accepts. False when it is not.
bool DecodeBlockData(ByteView record, std::vector<BlockData>* out);

// The page that the image is of, into kPageSize bytes at `page`. False when it cannot be had.
bool RestoreImage(const BlockData& block, std::uint8_t* page);

// The two compressions of page images that zstd does not read. False unless exactly `size` bytes come out at `out`.
// pg_lzcompress.c (15): a control byte says for each of the next eight items whether it is a byte or a copy.
bool DecompressPglz(ByteView packed, std::uint8_t* out, std::size_t size);
// A block of LZ4 (lz4_Block_format.md): literals and a copy, in turn.
bool DecompressLz4(ByteView packed, std::uint8_t* out, std::size_t size);

}  // namespace pitr::wal
