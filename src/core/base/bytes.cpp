// Little-endian integers and varints. Everything is done byte by byte with shifts: compilers make one
// load or store of it, and neither alignment nor the machine's byte order matters.
#include "core/base/bytes.h"

namespace pitr {

namespace {

template <typename T>
void AppendLittleEndian(Bytes* out, T v) {
  std::uint8_t buffer[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); i++) {
    buffer[i] = static_cast<std::uint8_t>(v >> (8 * i));
  }
  out->insert(out->end(), buffer, buffer + sizeof(T));
}

template <typename T>
T LoadLittleEndian(ByteView bytes) {
  T v = 0;
  for (std::size_t i = 0; i < bytes.size(); i++) {
    v = static_cast<T>(v | static_cast<T>(static_cast<T>(bytes[i]) << (8 * i)));
  }
  return v;
}

}  // namespace

void ByteWriter::U16(std::uint16_t v) { AppendLittleEndian(out_, v); }
void ByteWriter::U32(std::uint32_t v) { AppendLittleEndian(out_, v); }
void ByteWriter::U64(std::uint64_t v) { AppendLittleEndian(out_, v); }

void ByteWriter::Varint(std::uint64_t v) {
  while (v >= 0x80) {
    out_->push_back(static_cast<std::uint8_t>(v | 0x80));
    v >>= 7;
  }
  out_->push_back(static_cast<std::uint8_t>(v));
}

void ByteWriter::Signed(std::int64_t v) {
  // Zigzag: 0, -1, 1, -2, … become 0, 1, 2, 3, …, so that small negatives stay short.
  const auto bits = static_cast<std::uint64_t>(v);
  Varint((bits << 1) ^ (v < 0 ? ~std::uint64_t{0} : 0));
}

void ByteWriter::Raw(ByteView bytes) { out_->insert(out_->end(), bytes.begin(), bytes.end()); }

void ByteWriter::Text(std::string_view text) {
  Varint(text.size());
  Raw(AsBytes(text));
}

std::uint8_t ByteReader::U8() {
  const ByteView bytes = Raw(1);
  return bytes.empty() ? std::uint8_t{0} : bytes[0];
}

std::uint16_t ByteReader::U16() { return LoadLittleEndian<std::uint16_t>(Raw(2)); }
std::uint32_t ByteReader::U32() { return LoadLittleEndian<std::uint32_t>(Raw(4)); }
std::uint64_t ByteReader::U64() { return LoadLittleEndian<std::uint64_t>(Raw(8)); }

std::uint64_t ByteReader::Varint() {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = U8();
    if (!ok_) {
      return 0;
    }
    // The tenth byte has room for one bit. A last byte of zero is a longer form of a smaller
    // number: refused, so that each number has exactly one encoding.
    const bool too_big = shift == 63 && byte > 1;
    const bool not_shortest = shift > 0 && byte == 0;
    if (too_big || not_shortest) {
      break;
    }
    v |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      return v;
    }
  }
  ok_ = false;
  return 0;
}

std::int64_t ByteReader::Signed() {
  const std::uint64_t v = Varint();
  return static_cast<std::int64_t>((v >> 1) ^ ((v & 1) != 0 ? ~std::uint64_t{0} : 0));
}

ByteView ByteReader::Raw(std::size_t size) {
  if (!ok_ || size > remaining()) {
    ok_ = false;
    return {};
  }
  const ByteView bytes = in_.subspan(pos_, size);
  pos_ += size;
  return bytes;
}

std::string ByteReader::Text(std::size_t max_size) {
  const std::uint64_t size = Varint();
  if (!ok_ || size > max_size) {
    ok_ = false;
    return {};
  }
  return std::string(AsText(Raw(size)));
}

std::size_t ByteReader::Count(std::size_t min_item_size) {
  const std::uint64_t count = Varint();
  const std::size_t item_size = min_item_size == 0 ? 1 : min_item_size;
  if (!ok_ || count > remaining() / item_size) {
    ok_ = false;
    return 0;
  }
  return count;
}

}  // namespace pitr
