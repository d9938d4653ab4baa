#include "core/wal/block_data.h"

#include <algorithm>

#include "core/codec/compress.h"

namespace pitr::wal {

namespace {

// Headers stand first, then data and images in the order of the headers, then the main data.
struct Sizes {
  std::size_t data = 0, image = 0;
};

// REQUIRES: a record that DecodeBody accepts, so that every header is there whole.
std::size_t ReadHeader(const std::uint8_t* p, const std::uint8_t** relation, BlockData* out,
                       Sizes* sizes) {
  const std::uint8_t* at = p + 1;
  const std::uint8_t flags = at[0];
  sizes->data = Load16(at + 1);
  at += block::kHeader - 1;
  out->has_image = (flags & block::kHasImage) != 0;
  if (out->has_image) {
    sizes->image = Load16(at);
    out->hole_offset = Load16(at + 2);
    const std::uint8_t info = at[4];
    at += block::kImageHeader;
    out->compression = info & block::kImageCompressed;
    const bool has_hole = (info & block::kImageHasHole) != 0;
    if (out->compression != 0 && has_hole) {
      out->hole_length = Load16(at);
      at += block::kCompressHeader;
    } else if (out->compression == 0) {
      out->hole_length = static_cast<std::uint16_t>(block::kBlockSize - sizes->image);
    }
  }
  if ((flags & block::kSameRelation) == 0) {
    *relation = at;
    at += block::kRelation;
  }
  out->relation = LoadRelation(*relation, flags & block::kForkMask);
  out->block = Load32(at);
  return static_cast<std::size_t>(at + block::kNumber - p);
}

bool CopyBack(std::uint8_t* out, std::size_t size, std::size_t offset, std::size_t length,
              std::size_t* at) {
  if (offset == 0 || offset > *at || length > size - *at) {
    return false;
  }
  // The two may overlap: what was just written is read again.
  for (std::size_t i = 0; i < length; i++, (*at)++) {
    out[*at] = out[*at - offset];
  }
  return true;
}

}  // namespace

bool DecodeBlockData(ByteView record, std::vector<BlockData>* out) {
  out->clear();
  RecordBody body;
  if (record.size() < record::kHeader ||
      !DecodeBody(record, Load32(record.data() + record::kTotalLength), &body) ||
      record.size() != Load32(record.data() + record::kTotalLength)) {
    return false;
  }
  std::vector<Sizes> sizes(body.block_count);
  out->resize(body.block_count);
  const std::uint8_t* relation = nullptr;
  std::size_t at = record::kHeader, next = 0, carried = 0;
  while (next < body.block_count) {
    if (record[at] <= record::kMaxBlockId) {
      at += ReadHeader(record.data() + at, &relation, &(*out)[next], &sizes[next]);
      carried += sizes[next].data + sizes[next].image;
      next++;
    } else {  // an origin or a top level xid, which stand before blocks in no record of today
      at += record[at] == record::kIdOrigin ? 3 : 5;
    }
  }
  const std::size_t main_begin = record.size() - body.main_data.size();
  if (carried > main_begin) {
    return false;
  }
  at = main_begin - carried;
  for (std::size_t i = 0; i < out->size(); i++) {
    // XLogRecordAssemble and DecodeXLogRecord (15): of each block the image first, then its data.
    (*out)[i].image = record.subspan(at, sizes[i].image);
    at += sizes[i].image;
    (*out)[i].data = record.subspan(at, sizes[i].data);
    at += sizes[i].data;
  }
  return true;
}

bool RestoreImage(const BlockData& block, std::uint8_t* page) {
  const std::size_t hole = block.hole_length;
  if (!block.has_image || block.hole_offset + hole > kPageSize) {
    return false;
  }
  const std::size_t plain = kPageSize - hole;
  std::uint8_t unpacked[kPageSize];
  const std::uint8_t* from = unpacked;
  bool ok = true;
  switch (block.compression) {
    case 0:
      ok = block.image.size() == plain;
      from = block.image.data();
      break;
    case block::kImagePglz:
      ok = DecompressPglz(block.image, unpacked, plain);
      break;
    case block::kImageLz4:
      ok = DecompressLz4(block.image, unpacked, plain);
      break;
    case block::kImageZstd:
      ok = DecompressBlock(block.image, false, unpacked, plain).ok();
      break;
    default:
      return false;
  }
  if (!ok) {
    return false;
  }
  std::copy_n(from, block.hole_offset, page);
  std::fill_n(page + block.hole_offset, hole, std::uint8_t{0});
  std::copy_n(from + block.hole_offset, plain - block.hole_offset, page + block.hole_offset + hole);
  return true;
}

bool DecompressPglz(ByteView packed, std::uint8_t* out, std::size_t size) {
  std::size_t in = 0, at = 0;
  while (in < packed.size() && at < size) {
    std::uint8_t control = packed[in++];
    for (int item = 0; item < 8 && in < packed.size() && at < size; item++, control >>= 1) {
      if ((control & 1) == 0) {
        out[at++] = packed[in++];
        continue;
      }
      if (packed.size() - in < 2) {
        return false;
      }
      std::size_t length = (packed[in] & 0x0FU) + 3;
      const std::size_t offset = ((packed[in] & 0xF0U) << 4) | packed[in + 1];
      in += 2;
      if (length == 18) {
        if (in == packed.size()) {
          return false;
        }
        length += packed[in++];
      }
      // As the server: the last copy may say more than fits.
      if (!CopyBack(out, size, offset, std::min(length, size - at), &at)) {
        return false;
      }
    }
  }
  return in == packed.size() && at == size;
}

bool DecompressLz4(ByteView packed, std::uint8_t* out, std::size_t size) {
  std::size_t in = 0, at = 0;
  // 15 means that bytes follow which are added, up to the first that is not 255.
  const auto length_of = [&](std::size_t nibble, std::size_t* length) {
    *length = nibble;
    while (nibble == 15) {
      if (in == packed.size()) {
        return false;
      }
      *length += packed[in];
      if (packed[in++] != 255) {
        break;
      }
    }
    return true;
  };
  while (in < packed.size()) {
    const std::uint8_t token = packed[in++];
    std::size_t literals = 0, length = 0;
    if (!length_of(token >> 4, &literals) || literals > packed.size() - in ||
        literals > size - at) {
      return false;
    }
    std::copy_n(packed.begin() + static_cast<std::ptrdiff_t>(in), literals, out + at);
    in += literals;
    at += literals;
    if (in == packed.size()) {
      return at == size;  // the last one has no copy
    }
    if (packed.size() - in < 2) {
      return false;
    }
    const std::size_t offset = Load16(packed.data() + in);
    in += 2;
    if (!length_of(token & 15U, &length) || !CopyBack(out, size, offset, length + 4, &at)) {
      return false;
    }
  }
  return false;
}

}  // namespace pitr::wal
